"""A stack of the last release is replaced by one of this version under load, and the other way round."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import releases
from support.components import IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import LEFT_ALONE, prepared
from support.scrape import scrape
from tidegate.collector.run import deliver_now

pytestmark = [pytest.mark.e2e, IN_CI]

RATE, SECONDS = 10, 300


def test_an_upgrade_and_the_way_back_refuse_connections_and_lose_no_answer(
    tmp_path: Path, artefact: Path
) -> None:
    stack = prepared(tmp_path / "stack", artefact, **LEFT_ALONE)
    code = releases.check_out(releases.NAMES[-1].rpartition("-")[2], tmp_path / "code")
    variables = {**stack.environment, "PYTHONPATH": str(code.folder)}

    def tidegate(*command: str, of_release: bool) -> None:
        if of_release:
            done = code.run("-m", "tidegate", *command, env=variables, seconds=240)
        else:
            done = stack.tidegate(*command)
        assert done.returncode == 0, done.stdout + done.stderr

    def answers() -> None:
        """Wait until the running gateway has passed on some of the load."""
        name, metrics = "haproxy_backend_sessions_total", stack.port + 1
        eventually(lambda: (scrape(metrics, name, proxy="model") or 0) > 2 * RATE, "it answers")

    try:
        tidegate("up", "--detach", of_release=True)
        with stack.load(tmp_path / "load", phases=constant(SECONDS, RATE)) as load:
            answers()
            refused = stack.tidegate("up", "--detach")
            assert refused.returncode == 1
            assert "already running" in refused.stderr
            tidegate("status", of_release=False)
            for of_release in (False, True):
                tidegate("down", of_release=of_release)
                tidegate("up", "--detach", of_release=of_release)
                answers()
            summary = load.stop()
    finally:
        stack.tidegate("down")
    assert summary["answered"] + summary["failed"] == summary["sent"]
    assert set(summary["errors"]) <= {"connection refused"}, summary["errors"]
    assert deliver_now(stack.settings), "the store is rebuilt for this version"
    stored = stack.search("event.dataset:tidegate.request", 10_000).hits
    assert len({hit["event"]["id"] for hit in stored}) == len(stored) == summary["answered"]
