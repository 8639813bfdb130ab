"""Makes the data of a release, on the default ports."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd
from joblib import dump
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from support import commands
from support.checkout import ROOT
from support.eventually import eventually
from support.releases import FOLDER, Checkout, check_out

GATEWAY: Final = "http://127.0.0.1:8000"
# What a later version reads of it; the rest is of a running stack, or of Prometheus.
KEPT: Final = ("logs", "collector", "store", "autoscaler", "artefacts", "models", "prediction.key")
FILES: Final = ("docker-compose.yml", "deploy/helm/tidegate/values.yaml")
REQUESTS: Final = 30
DECISIONS: Final = 8
SETTINGS: Final = """
import sys
from pathlib import Path
from tidegate.settings import load
Path(sys.argv[1]).write_text(load().model_dump_json())
"""
UNREAD: Final = """
import sys, time
from pathlib import Path
from tidegate.events.event import Origin, make_event
from tidegate.events.writer import EventWriter
origin = Origin("loans", "1.2.3", "local", "jobs-1", "default")
writer = EventWriter(Path(sys.argv[1]), "jobs-1", 2**20)
for number in range(20):
    writer.write(make_event(origin, "job", f"number {number}", unix_ns=time.time_ns()))
writer.close()
"""


def main() -> None:
    """Make that of the commit that is named, else of the last one."""
    named = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    commit = commands.output("git", "rev-parse", "--short=8", named, cwd=ROOT).strip()
    with TemporaryDirectory(prefix="tidegate-release-") as name:
        work, release = Path(name), Path(name) / "release"
        release.mkdir()
        code = check_out(commit, work / "code")
        _use(code, work, release)
        for kept in KEPT:
            _copy(work / "data" / kept, release / "data" / kept)
        for file in FILES:
            content = commands.output("git", "show", f"{commit}:{file}", cwd=ROOT)
            (release / Path(file).name).write_text(content)
        archive = FOLDER / f"{_version(code.folder)}-{commit}.tar.xz"
        with tarfile.open(archive, "w:xz", preset=9) as opened:
            opened.add(release, arcname=".")
    print(f"{archive}: {archive.stat().st_size:,} bytes")


def _use(code: Checkout, work: Path, release: Path) -> None:
    """Run a stack as a person would."""
    _save_model(work / "loans.joblib")
    env = code.environment(
        work / "data",
        TIDEGATE_MODEL__PATH=str(work / "loans.joblib"),
        TIDEGATE_SERVICE__NAME="loans",
        TIDEGATE_REPLICAS__MAX="2",
        TIDEGATE_CONSOLE__ENABLED="false",
        TIDEGATE_AUTOSCALER__TICK_SECONDS="1",
    )

    def python(*arguments: str | Path) -> None:
        done = code.run(*arguments, env=env)
        assert done.returncode == 0, done.stdout + done.stderr

    python("-m", "tidegate", "up", "--detach")
    try:
        answers = [_post("/predict", {"instances": [_row(number)]}) for number in range(REQUESTS)]
        _post("/predict", {"instances": [{"no_such_feature": 1}]})
        predictions = [one for answer in answers for one in answer["predictions"]]
        for one in predictions[:10]:
            outcome = {"prediction_id": one["prediction_id"], "label": one["label"]}
            _post("/feedback", {"outcomes": [outcome]})
        eventually(lambda: _decisions(work / "data" / "logs") >= DECISIONS, "it has decided")
        python("-m", "tidegate", "pause", "--for", "1d")
    finally:
        python("-m", "tidegate", "down")
    python("-c", UNREAD, work / "data" / "logs")
    python("-c", SETTINGS, release / "settings.json")
    (release / "predictions.json").write_text(json.dumps(predictions))


def _save_model(file: Path) -> None:
    rows = pd.DataFrame([_row(number) for number in range(200)])
    late = rows["income"] + 10 * (rows["region"] == "north") < 40
    columns = make_column_transformer((OneHotEncoder(), ["region"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression())
    dump(model.fit(rows, late.map({True: "late", False: "paid"})), file)


def _row(number: int) -> dict[str, Any]:
    return {"income": float(number * 37 % 90), "region": ("north", "south", "west")[number % 3]}


def _post(path: str, body: object) -> Any:
    request = urllib.request.Request(f"{GATEWAY}{path}", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def _decisions(logs: Path) -> int:
    return sum(file.read_bytes().count(b'"tidegate.decision"') for file in logs.glob("*.ndjson"))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copyfile(source, target)


def _version(code: Path) -> str:
    lines = (code / "pyproject.toml").read_text().splitlines()
    return next(line for line in lines if line.startswith("version =")).split('"')[1]


if __name__ == "__main__":
    main()
