"""Checks which ScaledObject asks, so that a wrong one gets an error instead of this Deployment's number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Those of KEDA's external scalers, which it passes on, and one of ours.
DEPLOYMENT: Final = "deployment"
KNOWN_KEYS: Final = ("scalerAddress", "enableTLS", "unsafeSsl", DEPLOYMENT)


class WrongScaledObjectError(ValueError):
    """This ScaledObject must not follow this autoscaler. The text names the field and what to do."""


@dataclass(frozen=True, slots=True)
class ScaledTarget:
    """The Deployment that the autoscaler decides about."""

    name: str
    namespace: str

    def check(self, name: str, namespace: str, metadata: Mapping[str, str]) -> None:
        """Check a ScaledObject.

        Args:
            name: of the ScaledObject.
            namespace: its namespace; a ScaledObject scales within its own only.
            metadata: of its trigger.

        Raises:
            WrongScaledObjectError: it is for another Deployment, or has unknown metadata.
        """
        if namespace != self.namespace:
            raise WrongScaledObjectError(
                f"ScaledObject {namespace}/{name}: this autoscaler decides about Deployment {self.name} in"
                f" namespace {self.namespace}; correct scalerAddress"
            )
        unknown = sorted(set(metadata) - set(KNOWN_KEYS))
        if unknown:
            raise WrongScaledObjectError(
                f"ScaledObject {namespace}/{name}: unknown metadata {', '.join(unknown)}; expected"
                f" {', '.join(KNOWN_KEYS)}"
            )
        asked = metadata.get(DEPLOYMENT, self.name)
        if asked != self.name:
            raise WrongScaledObjectError(
                f"ScaledObject {namespace}/{name}: metadata {DEPLOYMENT} is {asked}, but this autoscaler"
                f" decides about {self.name}; correct it or scalerAddress"
            )
