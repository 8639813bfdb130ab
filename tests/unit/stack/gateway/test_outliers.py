"""Which replicas are ejected, by outliers.lua in HAProxy's own Lua: `haproxy -c` loads the script, too."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.observability_files.paths import observability_folder
from tidegate.stack.gateway.haproxy import haproxy_binary

DRIVER = Path(__file__).with_name("outliers_driver.lua")
MOST_REPLICAS = 6


@dataclass(frozen=True)
class Outcome:
    """How many ejections, errors until the first one (-1: none) and in all, ejected at the end, violated."""

    ejections: int
    first: int
    errors: int
    ejected: int
    violated: str


def lua(value: Any) -> str:
    """A value as Lua's literal."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua(key)}]={lua(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "{" + ",".join(lua(item) for item in value) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def run(name: str, values: list[Any]) -> list[str]:
    """The lines that the driver prints for these scenarios or tables of counts."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "run.lua"
        script.write_text(f"{name} = {lua(values)}\n{DRIVER.read_text()}")
        config = Path(folder) / "haproxy.cfg"
        loaded = (observability_folder() / "haproxy" / "outliers.lua", script)
        loads = "".join(f'    lua-load "{path}"\n' for path in loaded)
        config.write_text(
            f"global\n{loads}defaults\n    timeout client 1s\n    timeout connect 1s\n    timeout server 1s\n"
            f'listen any\n    bind "unix@{folder}/socket"\n'
        )
        command = [str(haproxy_binary()), "-c", "-q", "-f", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def outcomes(scenarios: list[dict[str, Any]]) -> list[Outcome]:
    split = [line.split(maxsplit=4) for line in run("scenarios", scenarios)]
    return [Outcome(int(a), int(b), int(c), int(d), rest) for a, b, c, d, rest in split]


def scenario(seed: int, *phases: tuple[float, ...], requests: int = 1000) -> dict[str, Any]:
    """Replicas that are all up, with these probabilities of an error in each phase."""
    return {
        "seed": seed,
        "phases": [
            {"errors": list(errors), "down": {}, "replaced": [], "requests": requests}
            for errors in phases
        ],
    }


COUNTS = st.integers(min_value=0, max_value=400)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=20, max_size=20))
def test_the_probability_is_that_of_fishers_exact_test(tables: list[tuple[int, ...]]) -> None:
    tables = [(failed + 1, good, others, rest) for failed, good, others, rest in tables]
    for (failed, good, others, rest), line in zip(tables, run("tables", tables), strict=True):
        answers, errors, total = failed + good, failed + others, failed + good + others + rest
        exact = sum(
            comb(errors, one) * comb(total - errors, answers - one)
            for one in range(failed, min(answers, errors) + 1)
        ) / comb(total, answers)
        # It stops at 1 %, where nobody is ejected anyway.
        if float(line) <= 0.01:
            assert float(line) == pytest.approx(exact, rel=0.01, abs=1e-12)
        else:
            assert exact > 0.0099


@st.composite
def any_scenario(draw: st.DrawFn) -> dict[str, Any]:
    replicas = draw(st.integers(min_value=1, max_value=MOST_REPLICAS))
    indexes = st.lists(st.integers(min_value=1, max_value=replicas), unique=True)
    phase = st.fixed_dictionaries(
        {
            "errors": st.lists(
                st.sampled_from([0.0, 0.01, 0.3, 0.6, 1.0]), min_size=replicas, max_size=replicas
            ),
            "down": indexes.map(lambda down: dict.fromkeys(down, True)),
            "replaced": indexes,
            "requests": st.integers(min_value=1, max_value=400),
        }
    )
    phases = draw(st.lists(phase, min_size=1, max_size=6))
    return {"seed": draw(st.integers(min_value=0, max_value=10**6)), "phases": phases}


@given(st.lists(any_scenario(), min_size=1, max_size=10))
def test_the_last_replica_is_never_ejected_and_never_more_than_half(
    scenarios: list[dict[str, Any]],
) -> None:
    assert {outcome.violated for outcome in outcomes(scenarios)} == {"nothing"}


@pytest.mark.parametrize("replicas", [2, 3, 5])
def test_a_replica_whose_answers_are_errors_is_ejected_after_a_few(replicas: int) -> None:
    found = outcomes([scenario(seed, (1.0,) + (0.0,) * (replicas - 1)) for seed in range(50)])
    assert all(5 <= outcome.first <= 25 for outcome in found)
    # A pause doubles, and each trial takes two errors: 50 s are four ejections.
    assert {outcome.ejections for outcome in found} <= {3, 4}
    assert all(outcome.errors == outcome.first + 2 * (outcome.ejections - 1) for outcome in found)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("replicas", [2, 5])
def test_errors_that_fall_on_all_replicas_alike_eject_nobody(share: float, replicas: int) -> None:
    # Of 31 million answers of such replicas, six ejected one (CHANCE in outliers.lua); these seeds are fixed.
    found = outcomes([scenario(seed, (share,) * replicas, requests=2000) for seed in range(20)])
    assert sum(outcome.ejections for outcome in found) == 0


def test_a_replica_that_fails_one_request_in_a_hundred_is_not_ejected() -> None:
    found = outcomes([scenario(seed, (0.01, 0.0, 0.0), requests=5000) for seed in range(20)])
    assert sum(outcome.ejections for outcome in found) == 0


# The first pause, 5 s, is 100 requests: longer than these tests.
def test_when_all_come_to_fail_the_ejected_one_gets_requests_again() -> None:
    (once,) = outcomes([scenario(1, (1.0, 0.0), requests=60)])
    assert (once.ejections, once.ejected) == (1, 1)
    (found,) = outcomes([scenario(1, (1.0, 0.0), (1.0, 1.0), requests=40)])
    assert (found.ejections, found.ejected) == (1, 0)


def test_a_replica_that_is_left_alone_gets_requests_again() -> None:
    alone = scenario(1, (1.0, 0.0), (1.0, 0.0), requests=40)
    alone["phases"][1]["down"] = {2: True}
    (found,) = outcomes([alone])
    assert (found.ejections, found.ejected, found.violated) == (1, 0, "nothing")


@pytest.mark.parametrize("change", [{"replaced": [1]}, {"down": {1: True}}])
def test_the_ejection_ends_with_the_replica(change: dict[str, Any]) -> None:
    replaced = scenario(1, (1.0, 0.0), (0.0, 0.0), requests=40)
    replaced["phases"][1] |= change
    (found,) = outcomes([replaced])
    assert (found.ejections, found.ejected, found.violated) == (1, 0, "nothing")
