"""Secrets are made once, are the same everywhere, and are only their readers'."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tidegate.provision.problems import ProvisionError
from tidegate.provision.secrets.inventory import Consumer, Secret
from tidegate.provision.secrets.storage import CAPABILITIES, Keep, settle

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
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path / "secrets", CONSUMERS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_missing_secret_is_made_once_and_every_reader_has_the_same(keep: Keep) -> None:
    assert settle(TABLE, {}, keep) == {"password": "made", "token": "made"}
    made = keep.read("store", "password")
    assert len(made) == 32
    assert keep.read("reader", "password") == made
    assert settle(TABLE, {}, keep) == {"password": "as it was", "token": "as it was"}
    assert keep.read("store", "password") == made


def test_only_the_reader_may_read_of_its_secrets(keep: Keep) -> None:
    settle(TABLE, {}, keep)
    assert mode(keep.root / "store") == 0o700
    assert mode(keep.root / "store" / "password") == 0o400
    assert mode(keep.root / "shared") == 0o750
    assert mode(keep.root / "shared" / "token") == 0o440
    assert [path.name for path in (keep.root / "store").iterdir()] == ["password"]


def test_a_secret_is_taken_from_one_who_reads_it_no_longer(keep: Keep) -> None:
    before = (Secret("password", ("store", "reader", "shared"), "opens the store", "restart"),)
    settle(before, {}, keep)
    settle(TABLE, {}, keep)
    assert [path.name for path in (keep.root / "shared").iterdir()] == ["token"]
    assert keep.read("reader", "password") == keep.read("store", "password") != ""


def test_rights_that_were_changed_are_put_right(keep: Keep) -> None:
    settle(TABLE, {}, keep)
    for path, wrong in (("store/password", 0o644), ("store", 0o755)):
        (keep.root / path).chmod(wrong)
    assert settle(TABLE, {}, keep)["password"] == "as it was"
    assert mode(keep.root / "store" / "password") == 0o400
    assert mode(keep.root / "store") == 0o700


@pytest.mark.parametrize(("there", "lost"), [("store", "reader"), ("reader", "store")])
@pytest.mark.parametrize("how", ["gone", "empty"])
def test_what_one_reader_has_lost_is_copied_from_the_other(
    keep: Keep, there: str, lost: str, how: str
) -> None:
    settle(TABLE, {}, keep)
    made = keep.read(there, "password")
    copy = keep.root / lost / "password"
    copy.chmod(0o600)
    copy.unlink() if how == "gone" else copy.write_text("")
    assert settle(TABLE, {}, keep)["password"] == f"copied to {lost}"
    assert keep.read(lost, "password") == made


def test_what_was_cut_off_in_the_middle_is_finished(keep: Keep) -> None:
    keep.put("store", "password", "made-by-a-start-that-was-killed")
    (keep.root / "store" / ".password.x1y2.new").write_text("half")
    (keep.root / "reader").mkdir()
    (keep.root / "reader" / ".password.x1y2.new").write_text("half")
    assert settle(TABLE, {}, keep)["password"] == "copied to reader"
    assert keep.read("reader", "password") == "made-by-a-start-that-was-killed"
    assert [path.name for path in (keep.root / "reader").iterdir()] == ["password"]


def test_a_given_value_wins_and_a_later_one_says_what_is_to_be_done(keep: Keep) -> None:
    assert settle(TABLE, {"password": "first-given-value"}, keep)["password"] == "taken as given"
    assert settle(TABLE, {"password": "first-given-value"}, keep)["password"] == "as it was"
    changed = settle(TABLE, {"password": "second-given-value"}, keep)
    assert changed["password"] == "changed to the given value: restart both"
    assert {keep.read(one, "password") for one in ("store", "reader")} == {"second-given-value"}


def test_a_value_that_is_no_longer_given_stays(keep: Keep) -> None:
    settle(TABLE, {"password": "first-given-value"}, keep)
    assert settle(TABLE, {}, keep)["password"] == "as it was"
    assert keep.read("reader", "password") == "first-given-value"


def test_a_file_that_is_not_text_is_a_sentence(keep: Keep) -> None:
    (keep.root / "store").mkdir(parents=True)
    (keep.root / "store" / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(ProvisionError, match=r"store/password cannot be read: it is not text"):
        settle(TABLE, {}, keep)


def test_a_folder_where_a_secret_belongs_is_a_sentence(keep: Keep) -> None:
    (keep.root / "store" / "password").mkdir(parents=True)
    with pytest.raises(ProvisionError, match=r"store/password cannot be read: Is a directory"):
        settle(TABLE, {}, keep)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            PermissionError(1, "Operation not permitted"),
            "password cannot be written: Operation not permitted; " + CAPABILITIES,
        ),
        (OSError(30, "Read-only file system"), "password cannot be written: Read-only file system"),
    ],
)
def test_what_cannot_be_given_away_is_a_sentence_and_rights_are_named_where_they_lack(
    keep: Keep, monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "chown", refuse)
    table = {"store": Consumer("store", ME[0] + 1)}
    with pytest.raises(ProvisionError) as caught:
        settle([Secret("password", ("store",), "", "")], {}, Keep(keep.root, table))
    assert str(caught.value) == f"{keep.root / 'store'}/{sentence}"
