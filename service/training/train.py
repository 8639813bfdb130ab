"""Train the flight-delay model and write its artefact, unless a current one exists."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from tidegate.service.artefacts.provenance import versions, write_artefact
from tidegate.service.model import artefact
from tidegate.service.training import flights as dataset
from tidegate.terminal_console import Console

NAME: Final = "flights"
WINDOW: Final = ["2013-01-01", "2013-02-28"]
SAMPLES: Final = 500
_CODE: Final = (
    "artefacts/formats/sklearn_joblib",
    "artefacts/onnx_export",
    "artefacts/onnx_trees",
    "artefacts/parity",
    "artefacts/reference",
    "model/features",
    "training/flights",
    "training/forest",
    "training/train",
)


def train_flights(out: Path, *, force: bool = False, console: Console | None = None) -> None:
    """Train on January and February, compare the ONNX model, and write the artefact atomically.

    An artefact that is complete and has the same inputs (data, code and versions) is not trained again unless
    by `force`. Only an artefact of this training is overwritten: `model.path`, which the demos train into,
    may name a candidate or a file of the user.

    Raises:
        ArtefactError: `out` has something else, which is not overwritten, or the ONNX model predicts
            differently; nothing is written.
        FileNotFoundError: the data set is not installed.
    """
    console = console or Console()
    artefact.refuse_foreign(out)
    with artefact.locked(out):
        _refuse_others(out)
        inputs = inputs_digest()
        with suppress(artefact.ArtefactError):  # there is none, or it is incomplete
            if not force and artefact.load(out).manifest.inputs == inputs:
                console.print(f"model {out} is current")
                return
        with artefact.staged(out) as folder:
            manifest = _train(folder, inputs, console)
        console.print(f"model {manifest.name} {manifest.version} → {out}")


def _refuse_others(out: Path) -> None:
    try:
        text = (out / artefact.MANIFEST).read_bytes()
    except FileNotFoundError:
        return
    try:  # of any version: this replaces it
        found = orjson.loads(text)
        trained, what = found["trained"], f"{found['name']} {found['version']}"
        # A candidate has the same name and possibly the same window, but it has a parent.
        window = trained.get("window")
        is_own = found["name"] == NAME and window == WINDOW and "parent" not in trained
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        is_own, what = False, "an artefact"
    if not is_own:
        raise artefact.ArtefactError(
            f"{out} has {what}, which `tidegate train` did not create, and is not overwritten: "
            "choose another folder, by --out or for the demos by TIDEGATE_MODEL__PATH=artefacts/flights"
        )


def inputs_digest() -> str:
    """Digest of the inputs of training: data, code and versions."""
    seen = hashlib.sha256()
    code = [Path(__file__).parents[1] / f"{name}.py" for name in _CODE]
    for file in (*dataset.source_files(), *code):
        seen.update(artefact.digest_file(file).encode())
    seen.update(orjson.dumps(versions(), option=orjson.OPT_SORT_KEYS))
    return f"sha256:{seen.hexdigest()}"


def _train(folder: Path, inputs: str, console: Console) -> artefact.Manifest:
    # Imported here, so that a current artefact does not cost the import of scikit-learn.
    import joblib  # noqa: PLC0415

    from tidegate.service.artefacts import reference  # noqa: PLC0415
    from tidegate.service.artefacts.formats.sklearn_joblib import describe  # noqa: PLC0415
    from tidegate.service.artefacts.parity import convert  # noqa: PLC0415
    from tidegate.service.model.onnx_predictor import OnnxPredictor  # noqa: PLC0415
    from tidegate.service.training import forest  # noqa: PLC0415

    start = time.perf_counter()
    with _step(console, "read flights and weather"):
        flights = dataset.read_flights()
        rows = forest.split(flights)
        window = rows.fit | rows.held_out
        features = reference.observed(flights.features, flights.matrix[rows.fit])
    with _step(console, f"fit {forest.TREES} trees on {int(rows.fit.sum()):,} flights"):
        model = forest.fit(flights, rows.fit)
        joblib.dump(model, folder / artefact.MODEL, compress=3)
    with _step(console, f"convert to ONNX, compare on {int(rows.held_out.sum()):,} held-out rows"):
        source = describe(model)
        signature = source.signature.model_copy(update={"features": features})
        signature, graph, parity, _ = convert(source, signature, flights.matrix[rows.held_out])
    with _step(console, "measure"):
        predictor = OnnxPredictor(graph, signature)
        held_out = predictor.predict(flights.matrix[rows.held_out])
        metrics: dict[str, Any] = {"held_out": forest.score(held_out, flights.late[rows.held_out])}
        metrics["months"] = {}
        for month in range(forest.WINDOW_MONTHS[-1] + 1, 13):
            picked = flights.month == month
            found = predictor.predict(flights.matrix[picked])
            metrics["months"][str(month)] = forest.score(found, flights.late[picked])
    with _step(console, "compute the reference"):
        calibration = reference.calibrate(held_out, forest.truth(flights.late[rows.held_out]))
        bins = reference.build_reference(
            features, flights.matrix[window], held_out, calibration=calibration
        )
    _print_scores(console, metrics)
    seconds = time.perf_counter() - start
    trained: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "window": WINDOW,
        "rows": int(rows.fit.sum()),
        "held_out_rows": int(rows.held_out.sum()),
        "seconds": round(seconds, 1),
    }
    return write_artefact(
        folder,
        signature,
        graph,
        bins,
        # A load test of them is no drift: those of later months have a PSI of 7 in `temp`.
        flights.matrix[_sample(window)],
        name=NAME,
        description="Will this flight arrive 15 minutes late or more?",
        inputs=inputs,
        trained=trained,
        metrics=metrics,
        parity=asdict(parity),
        versions=versions(),
    )


def _print_scores(console: Console, metrics: dict[str, Any]) -> None:
    months = {f"month {month}": scores for month, scores in metrics["months"].items()}
    for name, scores in ({"held out": metrics["held_out"]} | months).items():
        console.print(
            f"  {name:9} late {scores['late_share']:.3f}  AUC {scores['auc']:.3f}"
            f"  accuracy {scores['accuracy']:.3f}  Brier {scores['brier']:.3f}"
        )


def _sample(rows: Any) -> Any:
    return np.random.default_rng(0).choice(np.flatnonzero(rows), SAMPLES, replace=False)


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    start = time.perf_counter()
    with console.status(what):
        yield
    console.print(f"✓ {what} ({time.perf_counter() - start:.1f} s)")
