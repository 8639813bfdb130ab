"""Literals and fragments of PromQL."""

from __future__ import annotations

import json
import re


def edge_pattern(edge: float) -> str:
    r"""Return a regular expression for `le` that matches all spellings of a histogram edge.

    prometheus_client and Prometheus 3 write 1 second as `1.0`, the Go client as `1`; from a million on there
    is an exponent, too. So 1.0 gives `1|1\.0`, and 0.5 gives `0\.5`.
    """
    spellings = {repr(edge), format(edge, "g")}
    if float(format(edge, "g")) != edge:  # g keeps six digits only
        spellings.discard(format(edge, "g"))
    if edge == int(edge):
        spellings |= {str(int(edge)), f"{int(edge)}.0"}
    return "|".join(sorted(re.escape(spelling).replace("\\-", "-") for spelling in spellings))


def quoted(text: str) -> str:
    """Return the text as a string literal. PromQL has the same escapes as JSON."""
    return json.dumps(text)


def number(value: float) -> str:
    """Format a number with at most six significant digits."""
    return format(value, ".6g")


def percent(ratio: float) -> str:
    """Format a ratio as a percentage, for people."""
    return f"{number(ratio * 100)} %"


def duration(seconds: float) -> str:
    """Format a duration for Prometheus, rounded to milliseconds: `2s`, `500ms`, `5m`."""
    milliseconds = max(1, round(seconds * 1000))
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def without_nan(expression: str) -> str:
    """Return the expression without NaN, which 0/0 and empty histograms give.

    A comparison with NaN is false, so a series without data is missing, and no reader can take NaN for a
    value (a Kubernetes HPA would scale to the minimum).
    """
    return f"(\n{indented(expression)}\n) >= 0"


def indented(text: str) -> str:
    """Return the text, each line indented by two spaces."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def down(job: str) -> str:
    """Return the condition that a component cannot be scraped, or that its scrape job has no target at all.

    The target of a pod vanishes with its address, and `up` with it. Prometheus itself exports the number of
    targets of each job that it is configured with, so a component that does not belong to a deployment is
    not missed there. The second part has no labels.
    """
    return (
        f'up{{job="{job}"}} == 0\n'
        f'or sum(prometheus_target_scrape_pool_targets{{scrape_job="{job}"}}) == 0'
    )


def histogram_quantile(quantile: float, buckets: str, window: str) -> str:
    """A quantile of the series of a histogram together, over a window; missing without any."""
    return without_nan(
        f"histogram_quantile(\n  {number(quantile)},\n  sum by (le) (rate({buckets}[{window}]))\n)"
    )
