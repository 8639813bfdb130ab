"""Policies by name."""

import pytest

from tidegate.autoscaler.policies import KINDS, policy_from_parameters, policy_from_settings
from tidegate.autoscaler.types import Signals
from tidegate.settings import Settings, setting_names

IDLE = Signals(
    arrival_rate=0.0,
    service_seconds=None,
    in_system=0.0,
    slots_per_replica=2,
    ready=1,
    running=1,
    desired=1,
    latency_seconds=None,
    age_seconds=0.5,
)


def test_every_policy_that_can_be_set_has_its_kind() -> None:
    default, _ = setting_names()["autoscaler.policy"]
    assert default in KINDS
    annotation = Settings.model_fields["autoscaler"].annotation
    assert annotation is not None
    assert set(annotation.model_fields["policy"].annotation.__args__) == set(KINDS)


def test_the_settings_reach_the_policy() -> None:
    settings = Settings.model_validate(
        {
            "replicas": {"min": 2, "start": 2, "max": 7},
            "autoscaler": {
                "stale_seconds": 9,
                "hpa": {"target": 0.5, "tolerance": 0.2, "down_stabilization_seconds": 60},
            },
        }
    )
    assert policy_from_settings(settings)({}, IDLE, 0.0).inputs["parameters"] == {
        "min": 2,
        "max": 7,
        "target": 0.5,
        "tolerance": 0.2,
        "down_stabilization_seconds": 60.0,
        "stale_seconds": 9.0,
    }


@pytest.mark.parametrize("name", KINDS)
def test_a_policy_is_made_again_from_the_parameters_in_its_inputs(name: str) -> None:
    settings = Settings.model_validate({"autoscaler": {"policy": name}})
    decision = policy_from_settings(settings)({}, IDLE, 0.0)
    again = policy_from_parameters(name, decision.inputs["parameters"])
    assert again({}, IDLE, 0.0) == decision


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("guess", {}, "there is no policy 'guess', only hpa"),
        ("hpa", {"max": 3}, "not the parameters of policy 'hpa': 'min'"),
        ("hpa", {"min": 1, "max": 3, "luck": 7}, "luck"),
    ],
)
def test_an_unknown_policy_or_parameter_is_named(
    name: str, parameters: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        policy_from_parameters(name, parameters)
