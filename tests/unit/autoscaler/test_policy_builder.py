"""Policies by their words: from the settings, and again from a decision's inputs."""

from typing import Any

import pytest
from typer.testing import CliRunner

from support.samples.signals import IDLE
from tidegate.autoscaler.live.configured_policy import (
    configured_policy,
    policy_context,
)
from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy, policy_from_parameters
from tidegate.autoscaler.policy_expression import Expression, PolicyError, parse
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds
from tidegate.cli import app
from tidegate.settings import Settings, SettingsError, load

CONTEXT = PolicyContext(Bounds(1, 8), slo_seconds=0.6)


def configured(**sections: object) -> BuiltPolicy:
    return configured_policy(Settings.model_validate(sections))


def test_the_settings_reach_the_policy() -> None:
    hpa = {"target": 0.5, "tolerance": 0.2, "down_stabilization_seconds": 60}
    built = configured(
        replicas={"min": 2, "start": 2, "max": 7},
        autoscaler={"policy": "hpa", "stale_seconds": 9, "hpa": hpa},
    )
    recorded = built.policy({}, IDLE, 0.0).inputs["parameters"]
    assert recorded == {**built.parameters, "minute_mean": 0}
    others = {"min": 2, "max": 7, "stale_seconds": 9, "predictive": {"start_seconds": 60}}
    assert built.parameters == {**hpa, **others}


def test_the_settings_reach_the_scaling_to_zero() -> None:
    autoscaler = {"idle_seconds": 90, "stale_seconds": 9}
    built = configured(replicas={"min": 0, "max": 7}, autoscaler=autoscaler)
    assert built.policy({}, IDLE, 0.0).inputs["zero"] == {"max": 7, **autoscaler}


def test_parts_of_a_composition_share_the_tick_and_the_options_of_the_settings() -> None:
    expression = "max(hpa:inflight=0.6,tolerance=0.2, ray-serve)"
    value: dict[str, object] = {"policy": expression, "tick_seconds": 4, "hpa": {"target": 0.5}}
    built = configured(autoscaler=value)
    first, second = built.parameters["parts"]
    assert (built.expression, built.tick_seconds) == (expression, 4.0)
    assert (first["policy"], second["policy"]) == ("hpa:inflight=0.6,tolerance=0.2", "ray-serve")
    assert (first["parameters"]["target"], first["parameters"]["tolerance"]) == (0.6, 0.2)
    assert first["parameters"]["down_stabilization_seconds"] == 300.0
    assert second["parameters"]["tick_seconds"] == 4.0
    # Without a tick option, the shortest tick of the parts applies.
    assert build_policy("max(hpa,sloq,kpa)", CONTEXT).tick_seconds == 2.0
    assert build_policy("max(hpa,ray-serve):tick=30", CONTEXT).tick_seconds == 30.0


@pytest.mark.parametrize(
    ("settings", "prepares"),
    [
        ({}, True),
        ({"policy": "max(hpa,kpa)"}, True),
        ({"predictive": False}, False),
        ({"predictive": False, "policy": "hpa:predictive=1"}, True),
        ({"policy": "max(sloq,hpa):predictive=0"}, False),
    ],
)
def test_the_history_is_read_only_to_prepare_for_rises(
    settings: dict[str, object], prepares: bool
) -> None:
    built = configured(autoscaler=settings, replicas={"start_seconds": 90})
    assert built.uses_history == prepares
    expected = {"start_seconds": 90.0} if prepares else None
    assert built.parameters.get("predictive") == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("guess", r"unknown policy 'guess'; known: sloq, hpa.*, max\(…\), min\(…\)"),
        ("predictive", r"set autoscaler.predictive = true, and autoscaler.policy = \"sloq\" or another"),
        ("max(hpa,predictive)", "'predictive' is not a policy but works around every one"),
        ("sloq:predictive=2", "predictive must be 0 or 1"),
        ("max(sloq,hpa:predictive=1)", r"all parts share one predictive: max\(…\):predictive=NUMBER"),
        ("max(sloq,guess)", "unknown policy 'guess'"),
        ("max(sloq,hpa", r"parentheses are only allowed in max\(POLICY,…\) and min\(POLICY,…\)"),
        ("sum(sloq,hpa)", "parentheses are only allowed in"),
        ("max(sloq)", "needs two policies or more, all different"),
        ("max(sloq,hpa,)", "needs two policies or more, all different"),
        ("max(sloq,hpa,sloq)", "needs two policies or more, all different"),
        ("max(sloq,min(hpa,kpa))", "no part of one another"),
        ("max(sloq,hpa:inflight=0)", "policy 'hpa:inflight=0': target must be above 0"),
        ("max(sloq,hpa:tick=15)", r"all parts share one tick: max\(…\):tick=NUMBER"),
        ("max(sloq,hpa):luck=7", r"unknown option 'luck'; max\(…\) only has tick and predictive"),
        ("max(sloq,hpa):tick=0", "tick must be above 0 s"),
        ("max(sloq,surge)", r"surge sets slots, so it cannot be part of max"),
        ("hpa:luck=7", "unknown option 'luck'; known: inflight, target, tolerance"),
        ("hpa:min=7", "unknown option 'min'"),
        ("hpa:inflight", "'inflight' is not OPTION=NUMBER"),
        ("hpa:inflight=x", "not OPTION=NUMBER"),
        ("hpa:inflight=nan", "inflight must be 0, or from 1e-06 to "),
        ("hpa:tolerance=-1", "tolerance must be 0, or from 1e-06 to "),
        ("hpa:inflight=0", "target must be above 0"),
        ("keda:fallback=1.5", "fallback must be a whole number"),
        ("step:tick=0", "tick must be above 0 s"),
    ],
)  # fmt: skip
def test_an_invalid_expression_is_refused(expression: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        build_policy(expression, CONTEXT)


def test_an_expression_is_a_name_and_numeric_options() -> None:
    assert parse("sloq") == Expression("sloq", "sloq", {})
    text = "hpa:inflight=0.5, tick=15.0,"
    assert parse(text) == Expression(text, "hpa", {"inflight": 0.5, "tick": 15})


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("guess", {}, "unknown policy 'guess'; known: sloq"),
        ("hpa", {"max": 3}, "not the parameters of policy 'hpa': .*'min'"),
        ("hpa:inflight=1", {"min": 1, "max": 3, "luck": 7}, "luck"),
        ("max(sloq,hpa)", {"min": 1, "max": 3}, "not the parameters of policy 'max': 'parts'"),
        ("max(sloq,hpa)", {"parts": [7]}, "not the parameters of policy 'max'"),
        ("hpa", [7], "not the parameters of policy 'hpa'"),
    ],
)
def test_an_unknown_policy_or_parameter_is_named(name: str, parameters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy_from_parameters(name, parameters)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"cron": "0 25 * * *"}, r"autoscaler.schedule.0: .*expression '0 25 \* \* \*': bad hour"),
        ({"timezone": "Mars/Olympus"}, "autoscaler.schedule.0: .*unknown time zone 'Mars/Olympus'"),
        ({"cron": "0 * * * * *"}, "autoscaler.schedule.0: .*five fields .*, got 6"),
        ({"min": 3, "max": 2}, r"autoscaler.schedule.0: .*min \(3\) must not be greater than max"),
        ({"minutes": 1441}, "autoscaler.schedule.0: .*minutes must be from 1 to 1440"),
        ({"min": 0}, "autoscaler.schedule.0.min: must be at least 1"),
    ],
)
def test_an_invalid_window_is_named(window: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(autoscaler={"schedule": [{"cron": "* * * * *", **window}]})


@pytest.mark.parametrize("command", ["settings", "doctor", "collector"])
def test_every_command_refuses_a_bad_policy_by_the_name_of_its_variable(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_AUTOSCALER__POLICY", "luck")
    done = CliRunner().invoke(app, [command])
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "TIDEGATE_AUTOSCALER__POLICY: autoscaler.policy: unknown policy 'luck'; known: sloq"
    )
    assert done.stderr.endswith("(got 'luck')\n")


def test_the_context_is_that_of_the_settings() -> None:
    settings = Settings(
        slo={"latency_seconds": 0.3, "latency_quantile": 0.9, "until": "first_byte"},
        replicas={"max": 9},
        slots={"per_replica": 3, "max": 8},
    )
    assert policy_context(settings) == PolicyContext(
        Bounds(1, 9), 0.3, 0.9, 15.0, 3, 8, "first_byte"
    )
