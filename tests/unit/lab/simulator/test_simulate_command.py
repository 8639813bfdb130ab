"""The command line of `tidegate simulate`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli import app

FIXED = (
    "simulate --policy step --policy hpa:inflight=0.7 --trace steps --peak 9 --slots 4"
    " --service-time 0.2 --service-cv 0.7 --slo 0.6 --startup 30 --min 1 --max 30 --start 3"
    " --seeds 1"
)


def test_with_a_minimum_of_zero_an_idle_service_costs_nothing(tmp_path: Path) -> None:
    # Ten minutes of requests, an hour of nothing, and one more at the end.
    trace = tmp_path / "nights.csv"
    loads = [300] * 10 + [0] * 60 + [1]
    trace.write_text("minute,requests\n" + "".join(f"{n},{load}\n" for n, load in enumerate(loads)))
    policies = [word for name in ("sloq", "hpa", "keda") for word in ("--policy", name)]
    options = ["--trace", str(trace), "--seeds", "1", "--json"]
    paid = {}
    for least in ("0", "1"):
        result = CliRunner().invoke(
            app, ["simulate", *policies, *options, "--min", least, "--start", "1"]
        )
        assert result.exit_code == 0, result.stderr
        paid[least] = {one["policy"]: one["replica_seconds"] for one in json.loads(result.stdout)}
    # All leave within minutes of the last request; without that one stays for the whole hour.
    assert all(paid["1"][name] - paid["0"][name] > 3000 for name in ("sloq", "hpa", "keda"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--start", "31"], "min ≤ start ≤ max"),
        (["--service-time", "0"], "the service time must be from"),
        (["--trace", "nowhere"], "unknown trace 'nowhere'"),
        (["--policy", "none"], "unknown policy 'none'"),
        (["--peak", "0"], "above 0"),
        (["--plot", "page.html"], "--plot page.html: unknown format; expected one of .png, .svg"),
        (["--peak", "1e12"], "steps: a peak of 1e+12 requests a second makes "),
    ],
)
def test_invalid_arguments_exit_with_2_and_the_reason(wrong: list[str], says: str) -> None:
    result = CliRunner().invoke(app, [*FIXED.split(), *wrong])
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
