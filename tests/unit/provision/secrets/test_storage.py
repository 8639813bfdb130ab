"""Secrets are created once, have one value everywhere, and are readable by their consumers only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from support.doubles.raising import raising
from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets.inventory import Consumer, Secret
from tidegate.provision.secrets.storage import CAPABILITIES, SecretStorage, distribute

ME = (os.getuid(), os.getgid())
CONSUMERS = {
    "store": Consumer("store", *ME),
    "reader": Consumer("reader", *ME),
    "shared": Consumer("shared", *ME, 0o440),
}
TABLE = (
    Secret("password", ("store", "reader"), "opens the store", "restart both"),
    Secret("token", ("shared",), "opens the other", "restart it"),
)


@pytest.fixture
def storage(tmp_path: Path) -> SecretStorage:
    return SecretStorage(tmp_path / "secrets", CONSUMERS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_missing_secret_is_created_once_and_every_consumer_has_the_same_value(
    storage: SecretStorage,
) -> None:
    assert distribute(TABLE, {}, storage) == {"password": "created", "token": "created"}
    created = storage.read("store", "password")
    assert len(created) == 32
    assert storage.read("reader", "password") == created
    assert distribute(TABLE, {}, storage) == {"password": "unchanged", "token": "unchanged"}
    assert storage.read("store", "password") == created


def test_only_the_consumer_may_read_its_secrets_also_after_modes_were_changed(
    storage: SecretStorage,
) -> None:
    modes = {"store": 0o700, "store/password": 0o400, "shared": 0o750, "shared/token": 0o440}
    for _ in range(2):
        outcome = distribute(TABLE, {}, storage)
        assert {path: mode(storage.root / path) for path in modes} == modes
        for path, wrong in (("store/password", 0o644), ("store", 0o755)):
            (storage.root / path).chmod(wrong)
    assert outcome["password"] == "unchanged"
    assert [path.name for path in (storage.root / "store").iterdir()] == ["password"]


def test_a_secret_is_removed_from_a_former_consumer(storage: SecretStorage) -> None:
    previous = (Secret("password", ("store", "reader", "shared"), "opens the store", "restart"),)
    distribute(previous, {}, storage)
    distribute(TABLE, {}, storage)
    assert [path.name for path in (storage.root / "shared").iterdir()] == ["token"]
    assert storage.read("reader", "password") == storage.read("store", "password") != ""


@pytest.mark.parametrize(("present", "lost"), [("store", "reader"), ("reader", "store")])
@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_lost_copy_is_restored_from_another_consumer(
    storage: SecretStorage, present: str, lost: str, how: str
) -> None:
    distribute(TABLE, {}, storage)
    created = storage.read(present, "password")
    copy = storage.root / lost / "password"
    copy.chmod(0o600)
    copy.unlink() if how == "gone" else copy.write_text("")
    assert distribute(TABLE, {}, storage)["password"] == f"copied to {lost}"
    assert storage.read(lost, "password") == created


def test_an_interrupted_start_is_completed(storage: SecretStorage) -> None:
    storage.write("store", "password", "created-by-a-start-that-was-killed")
    (storage.root / "store" / ".password.x1y2.new").write_text("half")
    (storage.root / "reader").mkdir()
    (storage.root / "reader" / ".password.x1y2.new").write_text("half")
    assert distribute(TABLE, {}, storage)["password"] == "copied to reader"
    assert storage.read("reader", "password") == "created-by-a-start-that-was-killed"
    assert [path.name for path in (storage.root / "reader").iterdir()] == ["password"]


def test_a_supplied_value_takes_precedence_and_a_change_has_a_rotation_note(
    storage: SecretStorage,
) -> None:
    for outcome in ("set to the supplied value", "unchanged"):
        first = distribute(TABLE, {"password": "first-supplied-value"}, storage)
        assert first["password"] == outcome
    # It stays after its file is removed.
    assert distribute(TABLE, {}, storage)["password"] == "unchanged"
    assert storage.read("reader", "password") == "first-supplied-value"
    changed = distribute(TABLE, {"password": "second-supplied-value"}, storage)
    assert changed["password"] == "changed to the supplied value: restart both"
    assert {storage.read(one, "password") for one in ("store", "reader")} == {
        "second-supplied-value"
    }


@pytest.mark.parametrize(
    ("content", "why"), [(b"\xff\xfe", "it is not text"), (None, "Is a directory")]
)
def test_what_cannot_be_read_is_reported(
    storage: SecretStorage, content: bytes | None, why: str
) -> None:
    path = storage.root / "store" / "password"
    path.parent.mkdir(parents=True)
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ProvisionError, match=f"store/password cannot be read: {why}"):
        distribute(TABLE, {}, storage)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(1, "Operation not permitted"), f"Operation not permitted; {CAPABILITIES}"),
        (OSError(30, "Read-only file system"), "Read-only file system"),
    ],
)
def test_an_owner_that_cannot_be_set_is_reported_with_the_missing_capabilities(
    storage: SecretStorage, monkeypatch: pytest.MonkeyPatch, error: OSError, why: str
) -> None:
    monkeypatch.setattr(os, "chown", raising(error))
    table = {"store": Consumer("store", ME[0] + 1)}
    with pytest.raises(ProvisionError) as caught:
        distribute([Secret("password", ("store",), "", "")], {}, SecretStorage(storage.root, table))
    assert str(caught.value) == f"{storage.root / 'store'}/password cannot be written: {why}"
