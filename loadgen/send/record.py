"""What became of each request: columns, one row a planned request, allocated before the run.

Nothing grows while requests are sent, and whoever watches can read without a lock.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.plan import Planned
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS, ROWS_PER_REQUEST, RequestKind

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

INTERRUPTED: Final = "interrupted"
"""Sent, and given up because the run was stopped: no failure of the target's."""
COLUMNS: Final = (
    *("planned_s", "sent_s", "finished_s", "kind", "rows", "status", "error"),
    *("response_s", "service_s", "lag_s", "trace_id"),
)
HTTP_ERROR: Final = re.compile(r"HTTP \d+")


class Recording:
    """The record of a run. Times are seconds since its start; NaN stands for "not (yet)"."""

    def __init__(self, planned: Sequence[float], kinds: Sequence[RequestKind]) -> None:
        count = len(planned)
        number = {kind: index for index, kind in enumerate(REQUEST_KINDS)}
        self.planned: Floats = np.array(planned, dtype=np.float64)
        self.kind = np.array([number[kind] for kind in kinds], dtype=np.uint8)
        self.sent: Floats = np.full(count, np.nan)
        self.finished: Floats = np.full(count, np.nan)
        self.status = np.zeros(count, dtype=np.uint16)
        self._error = np.zeros(count, dtype=np.uint16)
        self._trace_id = np.zeros(count, dtype="S32")
        self._errors = ["", INTERRUPTED]

    @classmethod
    def of(cls, plan: Iterable[Planned]) -> Recording:
        """The empty record of a plan."""
        rows = list(plan)
        return cls([one.at for one in rows], [one.kind for one in rows])

    def __len__(self) -> int:
        return len(self.planned)

    def answer(self, row: int, finished: float, status: int, trace_id: str) -> None:
        """A whole answer came."""
        self._trace_id[row] = trace_id.encode("ascii", "ignore")
        self.status[row] = status
        self.finished[row] = finished

    def fail(self, row: int, finished: float, error: str) -> None:
        """No answer, or not a whole one; `finished` is when that was known."""
        if error not in self._errors:
            self._errors.append(error)
        self._error[row] = self._errors.index(error)
        self.finished[row] = finished

    def interrupt(self, row: int) -> None:
        """The run was stopped before its answer came."""
        self._error[row] = self._errors.index(INTERRUPTED)

    @property
    def response(self) -> Floats:
        """Seconds from when it was planned to its end: what a client that does not wait would feel."""
        return self.finished - self.planned

    @property
    def service(self) -> Floats:
        """Seconds from when it was sent to its end."""
        return self.finished - self.sent

    @property
    def ended(self) -> Mask:
        """Which count in percentiles: those with a good answer, and those that failed."""
        counted: Mask = self.failed | self.answered
        return counted

    @property
    def felt(self) -> Floats:
        """Response times in which a failed request is one that was never answered: infinity.

        A connection refused within a millisecond must not make a service that is down look quick.
        """
        return np.where(self.failed, np.inf, self.response)

    @property
    def lag(self) -> Floats:
        """Seconds from when it was planned to when it was sent."""
        return self.sent - self.planned

    @property
    def was_sent(self) -> Mask:
        """Which were sent."""
        known: Mask = ~np.isnan(self.sent)
        return known

    @property
    def answered(self) -> Mask:
        """Which have a whole answer, whatever it says."""
        whole: Mask = (self.status > 0) & (self._error == 0)
        return whole

    @property
    def failed(self) -> Mask:
        """Which failed: no whole answer, or one that is not a 2xx (redirects are not followed)."""
        broken = (self._error > 0) & (self._error != self._errors.index(INTERRUPTED))
        failed: Mask = broken | (self.status >= 300)
        return failed

    def of_kind(self, kind: RequestKind) -> Mask:
        """Which are of a kind."""
        chosen: Mask = self.kind == REQUEST_KINDS.index(kind)
        return chosen

    def error(self, row: int) -> str:
        """What went wrong, in a word or two, or nothing."""
        if self._error[row]:
            return self._errors[int(self._error[row])]
        return f"HTTP {self.status[row]}" if self.status[row] >= 300 else ""

    def trace_id(self, row: int) -> str:
        """Its trace id as the answer gave it, or nothing."""
        return bytes(self._trace_id[row]).decode("ascii")

    def errors(self) -> dict[str, int]:
        """How many failed of what, the most frequent first."""
        found = Counter(self.error(int(row)) for row in np.flatnonzero(self.failed))
        return dict(found.most_common())


def to_csv(recording: Recording) -> Iterator[str]:
    """`requests.csv`, line by line: the columns of `COLUMNS`, empty where there is no value."""
    yield ",".join(COLUMNS) + "\n"
    response, service, lag = recording.response, recording.service, recording.lag
    for row in range(len(recording)):
        kind = REQUEST_KINDS[recording.kind[row]]
        fields = (
            *map(_decimal, (recording.planned[row], recording.sent[row], recording.finished[row])),
            *(
                kind,
                str(ROWS_PER_REQUEST[kind]),
                str(recording.status[row] or ""),
                recording.error(row),
            ),
            *map(_decimal, (response[row], service[row], lag[row])),
            recording.trace_id(row),
        )
        yield ",".join(fields) + "\n"


def read_csv(path: Path) -> Recording:
    """The record that a `requests.csv` holds.

    Raises:
        UsageError: it cannot be read as one; the text names the line.
    """
    number = 1
    planned: list[float] = []
    kinds: list[RequestKind] = []
    try:
        # Twice through the file rather than once with all of it in memory.
        for at, row in _lines(path):
            number = at
            planned.append(float(row["planned_s"]))
            kinds.append(_kind(row["kind"]))
        recording = Recording(planned, kinds)
        for at, row in _lines(path):
            number = at
            _fill(recording, at - 2, row)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path}:{number}: cannot be read as a record: {error}") from error
    return recording


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise UsageError(f"{path}:1: these are not the columns of a requests.csv")
        yield from enumerate(lines, 2)


def _fill(recording: Recording, index: int, row: dict[str, str]) -> None:
    if row["sent_s"]:
        recording.sent[index] = float(row["sent_s"])
    finished = float(row["finished_s"]) if row["finished_s"] else float("nan")
    if row["status"]:
        recording.answer(index, finished, int(row["status"]), row["trace_id"])
    if row["error"] == INTERRUPTED:
        recording.interrupt(index)
    elif row["error"] and not HTTP_ERROR.fullmatch(row["error"]):
        recording.fail(index, finished, row["error"])


def _kind(text: str) -> RequestKind:
    for kind in REQUEST_KINDS:
        if kind == text:
            return kind
    raise ValueError(f"there is no kind {text!r}")


def _decimal(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"
