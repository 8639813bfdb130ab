"""Who changes a file that another version reads raises the number of its format.

If one of these fails: raise the number, and read the older one; or record the new content here, if each
version with this number reads it without loss (tests/integration/upgrade/test_way_back.py).
"""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.collector import checkpoint
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.service.model import artefact
from tidegate.store.embedded import folder


def test_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    progress = checkpoint.Progress({"a": 2}, {"a": 3}, {"a": "c0ffee"}, 4, (5.0, 6.0))
    checkpoint.Checkpoint(path).save(progress)
    assert json.loads(path.read_bytes()) == {
        "version": 1,
        "files": {"a": 2},
        "sizes": {"a": 3},
        "ends": {"a": "c0ffee"},
        "mark": 4,
        "clock": [5.0, 6.0],
    }


def test_the_layout_of_the_embedded_store(tmp_path: Path) -> None:
    folder.write(tmp_path, folder.Layout("abc", "index-abc-0"))
    found = json.loads((tmp_path / "format.json").read_bytes())
    assert found == {"format": 2, "fields": "abc", "folder": "index-abc-0"}


def test_prediction_ids() -> None:
    ids = PredictionIds(b"a secret signing key", "v1", b"abcd")
    request = ("0" * 31 + "1", "0" * 15 + "2")
    assert ids.make(3, request, ["late"], [0.5]) == [
        "BQAAAAAAAAADAAAAAAAAAAAAAAAAAAAAAQAAAAAAAAACYWJjZAJ2MQAAPwAAAARsYXRlS2-GqX2cJRTnHAGNdM_wxA"
    ]
    assert ids.make_values(3, request, [0.25], 1.0) == [
        "BAAAAAAAAAADAAAAAAAAAAAAAAAAAAAAAQAAAAAAAAACYWJjZAJ2MQAAP9AAAAAAAAA_8AAAAAAAAL6eJGh63DSEnEdFOFU6_ec"
    ]


def test_the_manifest_of_an_artefact() -> None:
    assert artefact.FORMAT == 1
    # An older version refuses a field that it does not know, by its name.
    assert artefact.Manifest.model_config["extra"] == "forbid"
