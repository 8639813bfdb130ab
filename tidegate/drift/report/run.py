"""`tidegate monitor report`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service.artefact import REFERENCE, ArtefactError, read_manifest
from tidegate.drift.reference import load_reference
from tidegate.drift.report.findings import Findings, Model, count, gather
from tidegate.drift.report.labelled import MOST, read_labelled
from tidegate.drift.report.page import badge, to_html
from tidegate.drift.report.periods import Period, even_periods
from tidegate.settings import Settings
from tidegate.store import moments
from tidegate.store.base import StoreUnavailableError
from tidegate.store.opening import open_store

TROUBLE: Final = 2
PERIODS: Final = 12


def report(settings: Settings, *, since: str, out: Path) -> int:
    """Write the page about the model that the settings name.

    Args:
        settings: the model's artefact, the store, Prometheus and the thresholds.
        since: how far back, `1d` or a moment.
        out: the file to write.

    Returns:
        The exit code: 0, or 2 with a sentence if there is no model, no store, or no place to write.
    """
    now = datetime.now(UTC)
    try:
        begin = _begin(since, now)
        span = Period("all", begin.timestamp(), now.timestamp())
        model = read_model(settings.model.path)
        periods = even_periods(span.begin, span.end, PERIODS)
        found = asyncio.run(find(settings, model, span, periods))
        out.parent.mkdir(parents=True, exist_ok=True)
        page = to_html(found, kibana=kibana_of(settings), note=note_of(found.overall.labels))
        out.write_text(page, encoding="utf-8")
    except (ValueError, ArtefactError, StoreUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return TROUBLE
    except OSError as error:
        sys.stderr.write(f"--out: {out} cannot be written: {error.strerror}\n")
        return TROUBLE
    sys.stdout.write(f"{out}: {badge(found)[0]}; {found.overall.labels} labels\n")
    if found.counted.trouble:
        sys.stderr.write(f"no distributions: {found.counted.trouble}\n")
    return 0


def read_model(artefact: Path) -> Model:
    """The model of an artefact folder.

    Raises:
        ArtefactError: its manifest does not read.
        BadReferenceError: its reference does not.
    """
    manifest = read_manifest(artefact)
    accuracy = manifest.metrics.get("held_out", {}).get("accuracy")
    return Model(
        manifest.name,
        manifest.version,
        tuple(str(label) for label in manifest.classes),
        accuracy,
        load_reference(artefact / REFERENCE),
    )


async def find(settings: Settings, model: Model, span: Period, periods: list[Period]) -> Findings:
    """What there is to say about a model and a span of time.

    Raises:
        StoreUnavailableError: the store cannot be asked now.
    """
    prometheus = f"http://{settings.stack.host}:{settings.prometheus.port}"
    counted = await count(prometheus, model, settings.drift, span, periods)
    since = datetime.fromtimestamp(span.begin, UTC)
    with closing(open_store(settings, read_only=True)) as store:
        rows = read_labelled(store, model.version, since, settings.drift.segments)
    return gather(model, settings.drift, rows, counted, span=span, periods=periods)


def _begin(since: str, now: datetime) -> datetime:
    begin = moments.when(since, now)
    if begin >= now:
        raise ValueError(f"--since: {since} is not in the past")
    return begin


def note_of(labels: int) -> str:
    """What is to be said above a page that does not hold all labels."""
    if labels < MOST:
        return ""
    return f"Only the first {MOST:,} labels are in it: choose a later --since."


def kibana_of(settings: Settings) -> str:
    """Where Kibana is, if there is one: the embedded store has none."""
    return settings.kibana.url if settings.store.kind == "elasticsearch" else ""
