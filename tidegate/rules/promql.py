"""Literals and fragments of PromQL."""

from __future__ import annotations

import json
import re


def edge_pattern(edge: float) -> str:
    r"""A regular expression for `le` that finds a histogram edge however it is written.

    prometheus_client and Prometheus 3 write 1 second as `1.0`, the Go client as `1`; from a million on
    there is an exponent too. So 1.0 gives `1|1\.0`, and 0.5 gives `0\.5`.

    Args:
        edge: the bucket's upper bound.
    """
    spellings = {repr(edge), format(edge, "g")}
    if float(format(edge, "g")) != edge:  # g keeps six digits only
        spellings.discard(format(edge, "g"))
    if edge == int(edge):
        spellings |= {str(int(edge)), f"{int(edge)}.0"}
    return "|".join(sorted(re.escape(spelling).replace("\\-", "-") for spelling in spellings))


def quoted(text: str) -> str:
    """The text as a string literal. PromQL's escapes are those of JSON."""
    return json.dumps(text)


def number(value: float) -> str:
    """The number with at most six significant digits."""
    return format(value, ".6g")


def duration(seconds: float) -> str:
    """A duration as Prometheus reads it, exact to the millisecond: `2s`, `500ms`, `5m`."""
    milliseconds = max(1, round(seconds * 1000))
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def present(expression: str) -> str:
    """The expression, without the NaN that 0/0 and an empty histogram give.

    A comparison with NaN is false, so it filters: a series without data is missing, and no
    reader can mistake it for a value (a Kubernetes HPA takes NaN for "scale to the minimum").
    """
    return f"(\n{_indent(expression)}\n) >= 0"


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
