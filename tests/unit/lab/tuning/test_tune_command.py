"""The command line of `tidegate tune`."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.lab.tuning.choice import DEFAULT


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """An hour in which the load rises and falls."""
    path = tmp_path / "shop.csv"
    counts = [300 + 60 * min(minute, 60 - minute) for minute in range(60)]
    path.write_text("minute,requests\n" + "".join(f"{n},{one}\n" for n, one in enumerate(counts)))
    return str(path)


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["tune", *words])
    return result.exit_code, result.stdout, result.stderr


def test_it_prints_the_line_the_held_out_price_and_settings_to_paste(shop: str) -> None:
    code, out, err = run("--trace", shop, "--parts", "2", "--policy", "static")
    assert (code, err) == (0, "")
    assert "1 h in 2 parts" in out
    assert "On the parts they were not chosen on, they pay" in out
    toml = out[out.index("[autoscaler]") :]
    # To run the maximum at all times costs more than anything.
    assert tomllib.loads(toml) == {"autoscaler": {"policy": DEFAULT}}


def test_the_objective_is_shown_in_requests_and_what_a_million_of_them_cost(shop: str) -> None:
    words = ("--trace", shop, "--parts", "2", "--policy", "sloq:late_share=0.4")
    found = json.loads(run(*words, "--json")[1])
    assert found["best"] in found["totals"].keys() == {DEFAULT, "sloq:late_share=0.4"}
    assert len(found["held_out"]) == 2
    total = found["totals"][DEFAULT]
    assert 0 < total["over_slo_ratio"] < 0.5
    # 72,000 requests.
    within = 1e6 * total["replica_seconds"] / total["cost_per_million"]
    assert within == pytest.approx(72_000 * (1 - total["over_slo_ratio"]), rel=0.02)
    out = run(*words)[1]
    assert f"{total['cost_per_million']:,.0f}" in out
    assert f"{total['over_slo_ratio']:.2%}" in out


def test_the_plot_shows_the_line_the_present_and_the_chosen_policy_and_the_floor(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_AUTOSCALER__POLICY", "static")
    plot = tmp_path / "line.svg"
    code, out, _ = run("--trace", shop, "--parts", "2", "--policy", "static", "--plot", str(plot))
    assert code == 0
    # matplotlib writes each text beside its outlines as a comment.
    texts = set(re.findall(r"<!-- (.*?) -->", plot.read_text(encoding="utf-8")))
    assert {"present: static", f"chosen: {DEFAULT}", "cost: replica-seconds"} <= texts
    floor = re.search(r"([\d,]+) violation-seconds remain with the maximum of (\d+)", out)
    assert floor
    assert f"{floor[1]} remain with the maximum of replicas" in texts
    assert "Your present policy, static: " in out
    assert f"Use the default ({DEFAULT}):" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give either --trace or --from-prometheus"),
        (("--trace", "steady", "--from-prometheus", "1d"), "give either"),
        (("--trace", "nowhere"), "unknown trace 'nowhere'"),
        (("--trace", "nosuch.csv"), "nosuch.csv"),
        (("--trace", "steady", "--parts", "7"), "shorter than 600 s each"),
        (("--trace", "steady", "--policy", "nonsense"), "nonsense"),
        (("--trace", "steady", "--plot", "line.gif"), "expected one of .png, .svg, .pdf"),
        (("--trace", "steady", "--service-time", "0"), "the service time must be from"),
        (("--from-prometheus", "soon"), "soon"),
        (("--from-prometheus", "1h", "--prometheus", "http://127.0.0.1:9"), "cannot be reached"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(words: tuple[str, ...], says: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
