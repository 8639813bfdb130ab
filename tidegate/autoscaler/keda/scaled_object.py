"""Checks which ScaledObject asks, so that a wrong one gets an error instead of this Deployment's number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Those of KEDA's external scalers, which it passes on, and one of ours.
DEPLOYMENT: Final = "deployment"
KNOWN_KEYS: Final = ("scalerAddress", "enableTLS", "unsafeSsl", DEPLOYMENT)
# A namespace of Kubernetes has at most 63 characters, and a name that is longer than this is rare.
SHOWN_CHARACTERS: Final = 63
SHOWN_KEYS: Final = 5


def shortened(text: str) -> str:
    """A name that a client sent, for a message: Kubernetes' own are shorter."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


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
        scaled_object = f"ScaledObject {shortened(namespace)}/{shortened(name)}"
        if namespace != self.namespace:
            raise WrongScaledObjectError(
                f"{scaled_object}: this autoscaler decides about Deployment {self.name} in"
                f" namespace {self.namespace}; correct scalerAddress"
            )
        unknown = sorted(set(metadata) - set(KNOWN_KEYS))
        if unknown:
            shown = ", ".join(map(shortened, unknown[:SHOWN_KEYS]))
            more = ", …" if len(unknown) > SHOWN_KEYS else ""
            raise WrongScaledObjectError(
                f"{scaled_object}: unknown metadata {shown}{more}; expected {', '.join(KNOWN_KEYS)}"
            )
        asked = metadata.get(DEPLOYMENT, self.name)
        if asked != self.name:
            raise WrongScaledObjectError(
                f"{scaled_object}: metadata {DEPLOYMENT} is {shortened(asked)}, but this autoscaler"
                f" decides about {self.name}; correct it or scalerAddress"
            )
