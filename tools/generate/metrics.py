"""The metrics of the programs, as their code defines them, by the sections of docs/reference/metrics.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from tidegate.rules.gateway_metrics import GATEWAY, Metric
from tools.generate.checkout import ROOT

NAME: Final = re.compile(r"(tidegate|ml|http_server)_[a-z0-9_]+")
# What defines a metric by its name, its help and its labels: classes of the Prometheus client, and what of
# ours adds labels of its own.
KINDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    **{kind.capitalize(): (kind, ()) for kind in ("counter", "gauge", "histogram")},
    "CounterMetricFamily": ("counter", ()),
    "GaugeMetricFamily": ("gauge", ()),
    "PipelineGauge": ("gauge", ("pipeline",)),
    "OutcomeCounter": ("counter", ("model", "version")),
    "_gauge": ("gauge", ("model", "version")),
    "_by_route": (
        "histogram",
        ("http_route", "http_request_method", "http_response_status_code"),
    ),
}
WITH_LABELS: Final = ("Counter", "Gauge", "Histogram", "OutcomeCounter")
"""Those whose third argument is the labels; others have them as `labels=`, or none."""
# The first that a file is below; `service` and `loadgen` are linked into the package.
FOLDERS: Final = {
    "Replicas (job `model`)": (
        *("tidegate/monitoring/watching", "tidegate/ray", "tidegate/serving"),
        *("tidegate/telemetry", "service/model"),
    ),
    "The model (job `model`; see [drift](../explanation/drift.md))": (
        *(
            "tidegate/monitoring/counting",
            "tidegate/monitoring/feedback",
            "tidegate/monitoring/tasks",
            "service/serving",
        ),
    ),
    "Gateway (job `gateway`)": ("tidegate/stack/gateway",),
    "Autoscaler (job `autoscaler`)": ("tidegate/autoscaler",),
    "Collector (job `collector`)": ("tidegate/collector",),
    "Watcher of labels (job `watch`)": ("tidegate/monitoring/concept",),
    "Exporter (job `exporter`; Compose only)": ("tidegate/exporter",),
    "Resizer (job `resizer`; Compose only)": ("tidegate/resizer",),
}


def sections() -> dict[str, tuple[Metric, ...]]:
    """The metrics of each section, in the order of their files."""
    found: dict[str, dict[str, Metric]] = {title: {} for title in FOLDERS}
    for path in sorted(
        path for of in ("service", "tidegate") for path in (ROOT / of).rglob("*.py")
    ):
        name = str(path.relative_to(ROOT))
        title = next((one for one, of in FOLDERS.items() if name.startswith(of)), None)
        if title is not None:
            for metric in defined(path):
                found[title].setdefault(metric.name, metric)
    found["Gateway (job `gateway`)"] |= {each.name: each for each in GATEWAY}
    return {title: tuple(each.values()) for title, each in found.items()}


def defined(path: Path) -> Iterator[Metric]:
    """The metrics that a module defines by a call with their name and their help."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                args=[ast.Constant(value=str(metric)), ast.Constant(value=str(text)), *others]
            ) if text and NAME.fullmatch(metric):
                made_by = ast.unparse(node.func).rpartition(".")[2]
                kind, own = KINDS[made_by]
                labels = [one.value for one in node.keywords if one.arg == "labels"]
                if made_by in WITH_LABELS:
                    labels = others[:1]
                suffix = "_total" if kind == "counter" else ""
                yield Metric(
                    metric.removesuffix("_total") + suffix,
                    kind,  # type: ignore[arg-type]
                    (*own, *(_value(labels[0], path) if labels else ())),
                    text.rstrip("."),
                )


def _value(labels: ast.expr, path: Path) -> tuple[str, ...]:
    """The labels, which may name constants of the module."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = import_module(name if name.startswith("tidegate") else f"tidegate.{name}")
    return tuple(eval(ast.unparse(labels), {"__builtins__": {}}, vars(module)))  # noqa: S307  our own code


SECTIONS: Final = sections()
