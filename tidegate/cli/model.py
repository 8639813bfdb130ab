"""The commands of the model: training, drift, accuracy."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import Since, model_service_settings, settings, stop

PANEL = "The model"

commands = typer.Typer()
monitor = typer.Typer(help="The monitoring of the model.", no_args_is_help=True)
commands.add_typer(monitor, name="monitor", rich_help_panel=PANEL)


@commands.command(rich_help_panel=PANEL, epilog="Example: `tidegate train --out artefacts/flights`")
def train(
    out: Annotated[Path, typer.Option(help="The artefact folder to write.")] = Path(
        "artefacts/flights"
    ),
    force: Annotated[bool, typer.Option(help="Train even if the artefact exists.")] = False,
) -> None:
    """Train the flight-delay model and write its artefact."""
    from tidegate.service.model.artefact import ArtefactError
    from tidegate.service.training.train import train_flights

    try:
        train_flights(out, force=force)
    except ArtefactError as error:
        stop(str(error))


@commands.command(
    "import-model",
    rich_help_panel=PANEL,
    epilog="Example: `tidegate import-model wine.joblib artefacts/wine`",
)
def import_model(
    file: Annotated[Path, typer.Argument(help="The model file.")],
    out: Annotated[Path, typer.Argument(help="The artefact folder to write.")],
) -> None:
    """Convert a model file into an artefact that can be served, and print what it found."""
    from tidegate.service.artefacts.import_model import main
    from tidegate.service.artefacts.import_report import progress

    with progress(file):
        code = main([str(file), str(out)])
    raise typer.Exit(code)


@commands.command(
    rich_help_panel=PANEL,
    epilog="Examples: `tidegate reference rows.parquet --out reference.json --prediction fare --truth paid` "
    "for a regressor, `tidegate reference rows.csv --out reference.json --prediction label --truth actual "
    "--confidence probability --features amount,country` for a classifier",
)
def reference(
    file: Annotated[Path, typer.Argument(help="The rows, as CSV or Parquet.")],
    *,
    prediction: Annotated[str, typer.Option(help="The column of the model's predictions.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("reference.json"),
    truth: Annotated[
        str | None, typer.Option(help="The column of the true labels or values.")
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(help="The column of the probability of the predicted label.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="The features, separated by commas; default: all other columns."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification or regression; default: decimal numbers, and integers of more than 20 "
            "different values, are a regressor's."
        ),
    ] = None,
) -> None:
    """Write the reference of a model in an application of your own, for `telemetry.model(…)`.

    The rows should be some that the model was not trained on: with true labels they give the accuracy, or the
    error and the calibrated interval, that later labels are compared with.
    """
    from tidegate.service.artefacts.reference_command import run
    from tidegate.service.artefacts.table_reference import Columns

    names = None if features is None else tuple(name.strip() for name in features.split(","))
    columns = Columns(prediction, truth, confidence, names, task)
    raise typer.Exit(run(file, out, columns))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate retrain --since 7d && tidegate deploy artefacts/flights-next`",
)
def retrain(
    out: Annotated[Path, typer.Option(help="The artefact folder to write.")] = Path(
        "artefacts/flights-next"
    ),
    since: Since = "7d",
    from_dataset: Annotated[
        str, typer.Option(help="Months of the flight data instead of events, such as 3-6.")
    ] = "",
    min_rows: Annotated[
        int, typer.Option(min=1, help="Minimum number of rows with a label.")
    ] = 1000,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write the artefact even if it is not better.")
    ] = False,
) -> None:
    """Train a candidate on newer rows; exit 0 if it is better than the current model, else 1."""
    from tidegate.monitoring.retraining.run import RetrainOptions
    from tidegate.monitoring.retraining.run import retrain as run

    options = RetrainOptions(out, since=since, months=from_dataset, min_rows=min_rows, keep=keep)
    raise typer.Exit(run(model_service_settings(), options))


@commands.command(
    "demo-drift",
    rich_help_panel=PANEL,
    epilog="Example: `tidegate demo-drift --months 3 --out drift.html`",
)
def demo_drift(
    months: Annotated[int, typer.Option(min=1, max=10, help="Months, from March on.")] = 10,
    rows: Annotated[int, typer.Option(min=100, max=20_000, help="Flights per month.")] = 2000,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of a month in seconds.")] = 20.0,
    out: Annotated[Path, typer.Option(help="The report's HTML file.")] = Path(
        "runs/drift-report.html"
    ),
) -> None:
    """Replay months of real flights through the stack, with delayed labels, and check drift and alerts."""
    from tidegate.demos.flights_year.run import demo_drift as run

    raise typer.Exit(
        run(model_service_settings(), months=months, rows=rows, seconds=seconds, out=out)
    )


@monitor.command(
    "report",
    epilog="Examples: `tidegate monitor report --since 1d --out model.html`, "
    "`tidegate monitor report --reference reference.json --name fraud`",
)
def monitor_report(
    *,
    since: Since = "1d",
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path(
        "runs/model-report.html"
    ),
    model: Annotated[
        Path | None,
        typer.Option(help="An artefact or a model file; default: the served model."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="The reference.json of a model that an application of your own watches, instead of --model."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="With --reference: the model's name; default: the only one.")
    ] = "",
    version: Annotated[
        str,
        typer.Option(help="With --reference: its version; default: the last one that answered."),
    ] = "",
) -> None:
    """Write a report on the model: drift, accuracy or errors, and its worst predictions."""
    from tidegate.monitoring.report.model_choice import ChosenModel, watched_model
    from tidegate.monitoring.report.run import report as run
    from tidegate.store.base import EventStore
    from tidegate.terminal.served_model import choose_model

    if reference is not None and model is not None:
        raise typer.BadParameter("pass either --model or --reference")
    if reference is None and (name or version):
        raise typer.BadParameter("--name and --version need --reference")
    found = settings()

    def choose(store: EventStore, begin: datetime) -> ChosenModel:
        if reference is None:
            return choose_model(found, model)
        return watched_model(store, reference, name, version, begin)

    raise typer.Exit(run(found, since=since, out=out, choose_model=choose))


@monitor.command("watch", epilog="Example: `tidegate monitor watch`")
def monitor_watch() -> None:
    """Read labels from the store as they arrive, and report changes of the error rate."""
    from tidegate.monitoring.concept.run import run

    raise typer.Exit(run(settings()))
