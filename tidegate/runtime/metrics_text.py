"""Samples of a page in the Prometheus text format, as components read them from each other."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
    """The labels and values of the samples with that name and (at least) these labels; none if malformed.

    Only the lines of that name are parsed. Of HAProxy's page for 100 servers (5,000 samples) these are 100:
    1.4 ms instead of 100 ms.
    """
    lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    try:
        return [
            (sample.labels, float(sample.value))
            for family in text_string_to_metric_families("\n".join((*lines, "")))
            for sample in family.samples
            if labels.items() <= sample.labels.items()
        ]
    # The parser raises the first two for a malformed line; the third comes from an integer of 400 digits.
    except (ValueError, IndexError, OverflowError):
        return []


def sample_value(text: str, name: str, **labels: str) -> float | None:
    """The value of the first such sample; None if there is none."""
    return next((value for _, value in samples(text, name, **labels)), None)
