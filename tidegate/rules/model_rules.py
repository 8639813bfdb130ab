"""All recording rules about the model."""

from __future__ import annotations

from typing import Final

from tidegate.rules.drift_rules import drift_groups
from tidegate.rules.quality_rules import quality_groups
from tidegate.rules.recording import Group
from tidegate.settings import Drift


def model_groups(drift: Drift) -> tuple[Group, ...]:
    """Return the recorded series about the model."""
    return (*drift_groups(drift), *quality_groups(drift))


MODEL_GROUPS: Final = tuple(group.name for group in model_groups(Drift()))
"""The names of the groups; a later one uses series of an earlier one."""
