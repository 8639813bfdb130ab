"""All replicas sign with one key, which only their user can read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tidegate.monitoring.feedback.signing_key import KEY_FILE, prediction_key
from tidegate.settings import Settings, SettingsError


def settings(folder: Path, **drift: Any) -> Settings:
    return Settings.model_validate({"stack": {"data_dir": folder}, "drift": drift})


def test_all_replicas_create_one_key(tmp_path: Path) -> None:
    first = settings(tmp_path / "new")
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: prediction_key(first), range(16)))
    assert len(keys) == 1
    file = tmp_path / "new" / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [KEY_FILE]
    assert prediction_key(settings(tmp_path / "other")) not in keys


def test_a_configured_key_is_used(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    first = settings(tmp_path / "data", prediction_key_file=tmp_path / "secret")
    assert prediction_key(first) == b"0123456789abcdef"
    assert not (tmp_path / "data").exists()


def test_the_error_names_an_invalid_key(tmp_path: Path) -> None:
    missing = settings(tmp_path, prediction_key_file=tmp_path / "none")
    with pytest.raises(SettingsError, match=r"drift\.prediction_key_file: .*none cannot be read"):
        prediction_key(missing)
    (tmp_path / KEY_FILE).write_text("short\n")
    with pytest.raises(SettingsError, match=r"stack\.data_dir: the key .* fewer than 16 bytes"):
        prediction_key(settings(tmp_path))


def test_the_error_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(SettingsError, match=r"stack\.data_dir: cannot write a key"):
        prediction_key(settings(tmp_path / "file" / "data"))
