"""The policy of the settings as it is simulated, and what was simulated as settings."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tidegate.autoscaler.live.configured_policy import configured_policy
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System
from tidegate.lab.tuning.choice import CANDIDATES
from tidegate.lab.tuning.policy_settings import present_policy, settings_of
from tidegate.settings import Settings
from tidegate.settings.scaling import Hpa

SYSTEM = System()


@pytest.mark.parametrize(
    ("autoscaler", "expression"),
    [
        ({}, "sloq"),
        ({"policy": "sloq:late_share=0.2"}, "sloq:late_share=0.2"),
        ({"tick_seconds": 10}, "sloq:tick=10"),
        ({"policy": "hpa"}, "hpa:tick=5"),
        ({"policy": "hpa", "tick_seconds": 15}, "hpa"),
        ({"policy": "hpa:tick=30", "hpa": {"target": 0.5}}, "hpa:tick=30,target=0.5"),
        (
            {"policy": "hpa:inflight=0.8,tick=15", "hpa": {"target": 0.5}},
            "hpa:inflight=0.8,tick=15",
        ),
        ({"policy": "max(sloq,kpa)"}, "max(sloq,kpa):tick=5"),
    ],
)
def test_it_decides_in_a_simulation_as_it_does_live(
    autoscaler: dict[str, Any], expression: str
) -> None:
    settings = Settings.model_validate({"autoscaler": autoscaler})
    assert present_policy(settings, SYSTEM) == expression
    live, simulated = configured_policy(settings), simulated_policy(expression, SYSTEM)
    assert live.tick_seconds == simulated.tick_seconds
    # A simulation leaves defaults to the policy, which are those of the settings.
    options = {**Hpa().model_dump(), **simulated.parameters}
    for option in ("target", "tolerance", "late_share"):
        if option in live.parameters:
            assert live.parameters[option] == options[option]


@pytest.mark.parametrize("policy", [*CANDIDATES, "hpa:tick=60", "max(sloq,kpa)"])
@pytest.mark.parametrize("present_tick", [5.0, 15.0])
def test_the_pasted_lines_decide_live_as_often_as_in_the_simulation(
    policy: str, present_tick: float
) -> None:
    pasted = tomllib.loads(settings_of(policy, SYSTEM, present_tick))["autoscaler"]
    live = configured_policy(
        Settings.model_validate({"autoscaler": {"tick_seconds": present_tick, **pasted}})
    )
    assert live.tick_seconds == simulated_policy(policy, SYSTEM).tick_seconds
    assert live.expression == policy
