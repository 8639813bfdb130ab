"""A manual stop is distinguished from a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.external_stops import ExternalStopTracker

Make = Callable[..., Container]


def event(number: int, action: str, signal: str | None = None) -> dict[str, Any]:
    attributes = {"signal": signal} if signal else {}
    return {"Action": action, "Actor": {"ID": f"{number:064x}", "Attributes": attributes}}


@pytest.fixture
def tracker() -> ExternalStopTracker:
    return ExternalStopTracker(stop_timeout_seconds=60.0)


def test_a_stop_is_confirmed_once_the_stops_requested_with_it_are_known(
    tracker: ExternalStopTracker, container: Make
) -> None:
    tracker.record_event(event(1, "kill", "15"), (), 10.0)
    assert tracker.is_stopping(container(1))
    assert not tracker.is_confirmed(container(1), 10.5)
    assert tracker.is_confirmed(container(1), 11.0)
    assert not tracker.is_confirmed(container(2), 11.0)


@pytest.mark.parametrize("action", ["die", "stop", "destroy"])
def test_an_exit_caused_by_others_is_remembered_for_one_second(
    tracker: ExternalStopTracker, action: str
) -> None:
    tracker.record_event(event(1, action), (f"{1:064x}",), 10.0)
    assert not tracker.recent_external_exit(10.0)  # the resizer stopped it
    tracker.record_event(event(2, action), (), 11.0)
    assert tracker.recent_external_exit(11.9)
    assert not tracker.recent_external_exit(12.0)


@pytest.mark.parametrize(
    ("last", "stopped"),
    [
        pytest.param(event(2, "kill", "15"), True, id="the last was asked to stop"),
        pytest.param(event(2, "stop"), True, id="its kill event was missed, its stop was not"),
        pytest.param(event(2, "die"), False, id="the last crashed"),
    ],
)
def test_the_last_exit_decides_whether_the_service_was_stopped(
    tracker: ExternalStopTracker, container: Make, last: dict[str, Any], stopped: bool
) -> None:
    tracker.record_event(event(1, "kill", "15"), (), 10.0)
    tracker.record_event(last, (), 10.1)
    # The exit after a request to stop changes nothing.
    tracker.record_event(event(1, "die"), (), 10.2)
    two = container(2, state={"Status": "exited", "ExitCode": 137})
    assert tracker.whole_service_stopped([container(1), two], 10.3) is stopped
    assert tracker.whole_service_stopped([], 10.3) is stopped


@pytest.mark.parametrize(("code", "stopped"), [(0, True), (143, True), (137, False)])
def test_without_an_event_the_exit_code_decides(
    tracker: ExternalStopTracker, container: Make, code: int, *, stopped: bool
) -> None:
    ended = container(1, state={"Status": "exited", "ExitCode": code})
    assert tracker.whole_service_stopped([ended], 10.0) is stopped
    assert stopped or not tracker.whole_service_stopped([], 10.0)


def test_other_signals_and_stops_by_the_resizer_are_ignored(
    tracker: ExternalStopTracker, container: Make
) -> None:
    tracker.record_event(event(1, "kill", "9"), (), 10.0)
    tracker.record_event(event(1, "kill", "1"), (), 10.0)
    tracker.record_event(event(2, "kill", "15"), {f"{2:064x}"}, 10.0)
    tracker.record_event({"Action": "stop"}, {""}, 10.0)
    assert not any(tracker.is_stopping(container(number)) for number in (1, 2))


def test_a_start_cancels_the_stop(tracker: ExternalStopTracker, container: Make) -> None:
    tracker.record_event(event(1, "stop"), (), 10.0)
    tracker.record_event(event(1, "start"), (), 11.0)
    assert not tracker.is_stopping(container(1))
    assert not tracker.whole_service_stopped([container(1)], 12.0)


def test_a_container_that_still_runs_after_the_timeout_is_not_stopping(
    tracker: ExternalStopTracker, container: Make
) -> None:
    tracker.record_event(event(1, "kill", "15"), (), 10.0)
    assert not tracker.whole_service_stopped([container(1), container(2)], 70.0)
    assert tracker.is_stopping(container(1))
    assert not tracker.whole_service_stopped([container(1), container(2)], 70.5)
    assert not tracker.is_stopping(container(1))


def test_a_removed_container_is_forgotten(tracker: ExternalStopTracker, container: Make) -> None:
    tracker.record_event(event(1, "stop"), (), 10.0)
    assert not tracker.whole_service_stopped([container(2)], 11.0)
    assert not tracker.is_stopping(container(1))
    assert not tracker.whole_service_stopped([], 12.0)  # the earlier stop has no effect any more
