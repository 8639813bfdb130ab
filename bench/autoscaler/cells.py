"""What is compared: policies, traces and seeds, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import tidegate
from tidegate.autoscaler.policy_expression import policy_name_of
from tidegate.lab.simulator.comparison import TraceSpec, score_job, trace_of
from tidegate.lab.simulator.named_traces import NAMED_TRACES
from tidegate.lab.simulator.score import Score
from tidegate.lab.simulator.system import System

SLOQ: Final = "sloq"
# The second reads the mean of a minute: cheaper on steady traffic.
HPAS: Final = ("hpa:inflight=0.7", "hpa:inflight=0.7,minute_mean=1")
BASELINES: Final = (*HPAS, "kpa", "ray-serve", "keda", "step")
FLOOR: Final = "static"
"""As many replicas as allowed at all times: what no scaler can avoid."""
POLICIES: Final = (SLOQ, FLOOR, *BASELINES)

PEAKS: Final = {"azure_llm_conv_2023": 60.0, "worldcup98_1998-06-10": 150.0}
OTHER_PEAK: Final = 100.0

_TIDEGATE: Final = Path(tidegate.__file__).parent


@dataclass(frozen=True, slots=True)
class Cell:
    """One policy on one trace with one seed."""

    policy: str
    trace: TraceSpec
    seed: int

    @property
    def key(self) -> str:
        """What its score is kept under."""
        return f"{self.policy} on {trace_name(self.trace)}"

    @property
    def code(self) -> str:
        """A digest of the code and the trace that its score follows from."""
        path = Path(self.trace.name)
        trace = path.read_bytes() if path.suffix == ".csv" else b""
        return digest_of(self.policy, trace)

    def simulate(self) -> Score:
        """Its score, simulated in this process."""
        system = self.trace.system(System())
        return score_job((self.policy, trace_of(self.trace), system, self.seed))


def specs_of(files: Iterable[Path]) -> list[TraceSpec]:
    """The named traces and those of the files."""
    return [
        *(TraceSpec(name) for name in NAMED_TRACES),
        *(TraceSpec(str(path), PEAKS.get(path.stem, OTHER_PEAK)) for path in files),
    ]


def trace_name(spec: TraceSpec) -> str:
    """The name in tables."""
    return Path(spec.name).stem


def cells_of(specs: Sequence[TraceSpec], seeds: int) -> list[Cell]:
    """All cells, seed by seed, so that what is there after an early end has whole seeds."""
    return [
        Cell(policy, spec, seed) for seed in range(seeds) for spec in specs for policy in POLICIES
    ]


def digest_of(policy: str, trace: bytes) -> str:
    """A digest of a trace and of the code that a policy's score on it follows from.

    Changes of SLOQ leave the scores of other policies as they are.
    """
    own = policy_name_of(policy) == SLOQ
    return hashlib.sha256(_sources(with_sloq=own).encode() + trace).hexdigest()[:16]


@lru_cache
def _sources(*, with_sloq: bool) -> str:
    digest = hashlib.sha256()
    parts = ["autoscaler", "autoscaler/policies", "lab/simulator", "autoscaler/wrappers"]
    for part in [*parts, *(["autoscaler/sloq"] if with_sloq else [])]:
        for path in sorted((_TIDEGATE / part).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
