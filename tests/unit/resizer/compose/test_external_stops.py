"""A person's stop is told from a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.external_stops import OtherHands

Make = Callable[..., Container]


def event(number: int, action: str, signal: str | None = None) -> dict[str, Any]:
    attributes = {"signal": signal} if signal else {}
    return {"Action": action, "Actor": {"ID": f"{number:064x}", "Attributes": attributes}}


@pytest.fixture
def hands() -> OtherHands:
    return OtherHands(patience_seconds=60.0)


def test_one_who_was_asked_to_stop_leaves_once_all_who_go_with_it_are_known(
    hands: OtherHands, container: Make
) -> None:
    hands.see(event(1, "kill", "15"), (), 10.0)
    assert hands.stops(container(1))
    assert not hands.leaves(container(1), 10.5)
    assert hands.leaves(container(1), 11.0)
    assert not hands.leaves(container(2), 11.0)


@pytest.mark.parametrize("action", ["die", "stop", "destroy"])
def test_an_end_that_is_not_ours_is_remembered_for_a_second(hands: OtherHands, action: str) -> None:
    hands.see(event(1, action), (f"{1:064x}",), 10.0)
    assert not hands.just_ended_one(10.0)  # it was ours
    hands.see(event(2, action), (), 11.0)
    assert hands.just_ended_one(11.9)
    assert not hands.just_ended_one(12.0)


@pytest.mark.parametrize(
    ("last", "none_wanted"),
    [
        pytest.param(event(2, "kill", "15"), True, id="the last was asked"),
        pytest.param(event(2, "stop"), True, id="its asking was missed, its stop was not"),
        pytest.param(event(2, "die"), False, id="the last died of itself"),
    ],
)
def test_the_last_one_decides(
    hands: OtherHands, container: Make, last: dict[str, Any], none_wanted: bool
) -> None:
    hands.see(event(1, "kill", "15"), (), 10.0)
    hands.see(last, (), 10.1)
    hands.see(event(1, "die"), (), 10.2)  # an asked one's end says nothing new
    two = container(2, state={"Status": "exited", "ExitCode": 137})
    assert hands.want_none([container(1), two], 10.3) is none_wanted
    assert hands.want_none([], 10.3) is none_wanted


@pytest.mark.parametrize("code", [0, 143])
def test_without_an_event_the_exit_code_tells(
    hands: OtherHands, container: Make, code: int
) -> None:
    stopped = container(1, state={"Status": "exited", "ExitCode": code})
    assert hands.want_none([stopped], 10.0)


def test_without_an_event_a_killed_one_was_wanted(hands: OtherHands, container: Make) -> None:
    killed = container(1, state={"Status": "exited", "ExitCode": 137})
    assert not hands.want_none([killed], 10.0)
    assert not hands.want_none([], 10.0)


def test_kills_that_do_not_ask_and_our_own_are_no_concern(
    hands: OtherHands, container: Make
) -> None:
    hands.see(event(1, "kill", "9"), (), 10.0)
    hands.see(event(1, "kill", "1"), (), 10.0)
    hands.see(event(2, "kill", "15"), {f"{2:064x}"}, 10.0)
    hands.see({"Action": "stop"}, {""}, 10.0)
    assert not hands.stops(container(1))
    assert not hands.stops(container(2))


def test_a_start_takes_it_back(hands: OtherHands, container: Make) -> None:
    hands.see(event(1, "stop"), (), 10.0)
    hands.see(event(1, "start"), (), 11.0)
    assert not hands.stops(container(1))
    assert not hands.want_none([container(1)], 12.0)


def test_one_that_goes_on_did_not_mean_to_stop(hands: OtherHands, container: Make) -> None:
    hands.see(event(1, "kill", "15"), (), 10.0)
    assert not hands.want_none([container(1), container(2)], 70.0)
    assert hands.stops(container(1))
    assert not hands.want_none([container(1), container(2)], 70.5)
    assert not hands.stops(container(1))


def test_one_that_is_gone_is_forgotten(hands: OtherHands, container: Make) -> None:
    hands.see(event(1, "stop"), (), 10.0)
    assert not hands.want_none([container(2)], 11.0)
    assert not hands.stops(container(1))
    assert not hands.want_none([], 12.0)  # what comes later is another matter
