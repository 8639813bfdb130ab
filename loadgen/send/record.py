"""The recording of a run: arrays with one row per planned request, allocated before the run.

Nothing is allocated while requests are sent, and other threads can read without a lock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tidegate.loadgen.plan.plan import PlannedRequest
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS, ROWS_PER_REQUEST, Until

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

INTERRUPTED: Final = "interrupted"
"""The request was sent, and cancelled because the run was stopped; this is not a failure of the target."""
FAILED_STATUS: Final = 300
COLUMNS: Final = (
    *("planned_s", "sent_s", "finished_s", "kind", "rows", "status", "error"),
    *("response_s", "service_s", "lag_s", "trace_id", "first_byte_s"),
)


class Recording:
    """The recording of a run. Times are in seconds since its start; NaN means not (yet) happened.

    Attributes:
        names: the kinds that there are.
        until: the byte of a response at which its response time ends.
    """

    def __init__(
        self,
        planned: Sequence[float],
        kinds: Sequence[str],
        names: Sequence[str] = REQUEST_KINDS,
    ) -> None:
        count = len(planned)
        self.names = tuple(names)
        number = {kind: index for index, kind in enumerate(names)}
        self.planned: Floats = np.array(planned, dtype=np.float64)
        self.kind = np.array([number[kind] for kind in kinds], dtype=np.uint8)
        self.sent: Floats = np.full(count, np.nan)
        self.first_byte: Floats = np.full(count, np.nan)
        self.finished: Floats = np.full(count, np.nan)
        self.until: Until = "last-byte"
        self.status = np.zeros(count, dtype=np.uint16)
        self._error = np.zeros(count, dtype=np.uint16)
        self._trace_id = np.zeros(count, dtype="S32")
        self._errors = ["", INTERRUPTED]

    @classmethod
    def of(cls, plan: Iterable[PlannedRequest], names: Sequence[str] = REQUEST_KINDS) -> Recording:
        """Create the empty recording of a plan."""
        rows = list(plan)
        return cls([one.at for one in rows], [one.kind for one in rows], names)

    def __len__(self) -> int:
        return len(self.planned)

    def answer(
        self, row: int, finished: float, status: int, trace_id: str, problem: str | None = None
    ) -> None:
        """Record a complete response, and why it counts as failed: by default because it is not a 2xx."""
        self._trace_id[row] = trace_id.encode("ascii", "ignore")
        self.status[row] = status
        failed = f"HTTP {status}" if status >= FAILED_STATUS else ""
        self.fail(row, finished, failed if problem is None else problem)

    def fail(self, row: int, finished: float, error: str) -> None:
        """Record a request without a complete response; `finished` is the time of the failure."""
        if error not in self._errors:
            self._errors.append(error)
        self._error[row] = self._errors.index(error)
        self.finished[row] = finished

    def interrupt(self, row: int) -> None:
        """Record that the run was stopped before the response."""
        self._error[row] = self._errors.index(INTERRUPTED)

    @property
    def response(self) -> Floats:
        """Seconds from the planned time to the byte of `until`: the response time of independent clients."""
        return self.response_until(self.until)

    def response_until(self, until: Until) -> Floats:
        """Seconds from the planned time to a byte of the response; to its end if it has no body."""
        if until == "last-byte":
            return self.finished - self.planned
        return np.where(np.isnan(self.first_byte), self.finished, self.first_byte) - self.planned

    @property
    def service(self) -> Floats:
        """Seconds from sending to the end."""
        return self.finished - self.sent

    @property
    def ended(self) -> Mask:
        """The requests that count in percentiles: answered and failed ones."""
        counted: Mask = self.failed | self.answered
        return counted

    @property
    def response_or_infinity(self) -> Floats:
        """Response times, with infinity for failed requests.

        A connection refused within a millisecond must not make a service that is down look fast.
        """
        return self.or_infinity(self.response)

    def or_infinity(self, seconds: Floats) -> Floats:
        """These times, with infinity for failed requests."""
        return np.where(self.failed, np.inf, seconds)

    @property
    def lag(self) -> Floats:
        """Seconds from the planned time to sending."""
        return self.sent - self.planned

    @property
    def was_sent(self) -> Mask:
        """The requests that were sent."""
        known: Mask = ~np.isnan(self.sent)
        return known

    @property
    def answered(self) -> Mask:
        """The requests with a complete response of any status."""
        whole: Mask = self.status > 0
        return whole

    @property
    def failed(self) -> Mask:
        """The failed requests: no complete response, or one that fails a check or is not a 2xx."""
        failed: Mask = (self._error > 0) & (self._error != self._errors.index(INTERRUPTED))
        return failed

    def by_kind(self) -> Iterator[tuple[str, Mask]]:
        """The kinds that were planned, and the requests of each."""
        for number, name in enumerate(self.names):
            if (mask := self.kind == number).any():
                yield name, mask

    def error(self, row: int) -> str:
        """Return the category of the error; empty if there is none."""
        return self._errors[int(self._error[row])]

    def trace_id(self, row: int) -> str:
        """Return the trace id from the response; empty if there is none."""
        return bytes(self._trace_id[row]).decode("ascii")

    def errors(self) -> dict[str, int]:
        """Return the number of failed requests by error, the most frequent first."""
        found = Counter(self.error(int(row)) for row in np.flatnonzero(self.failed))
        return dict(found.most_common())


def to_csv(recording: Recording) -> Iterator[str]:
    """Return the lines of `requests.csv`, with the columns `COLUMNS`; missing values are empty."""
    yield ",".join(COLUMNS) + "\n"
    kinds = [recording.names[number] for number in recording.kind.tolist()]
    rows = range(len(recording))
    columns = (
        *map(_decimals, (recording.planned, recording.sent, recording.finished)),
        kinds,
        (str(ROWS_PER_REQUEST.get(kind, "")) for kind in kinds),
        (str(status or "") for status in recording.status.tolist()),
        map(recording.error, rows),
        *map(_decimals, (recording.response_until("last-byte"), recording.service, recording.lag)),
        map(recording.trace_id, rows),
        _decimals(recording.first_byte),
    )
    for fields in zip(*columns, strict=True):
        yield ",".join(fields) + "\n"


def _decimals(values: Floats) -> Iterator[str]:
    return ("" if math.isnan(value) else f"{value:.6f}" for value in values.tolist())
