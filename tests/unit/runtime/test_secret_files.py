"""A secret is read from its file, and an error names the setting, the file and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.runtime.secret_files import (
    GRACE_SECONDS,
    ReplaceableSecret,
    SecretFileError,
    authorization,
    read_login,
    read_secret,
)

SETTING = "store.elasticsearch.password_file"


def test_the_whitespace_around_a_secret_is_not_a_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" a secret é\n", encoding="utf-8")
    assert read_secret(path, SETTING) == "a secret é"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, ": No such file or directory"), (b" \n", " is empty"), (b"\xff\xfe", " is not text")],
)
def test_an_error_names_the_setting_the_file_and_the_reason(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretFileError) as raised:
        read_secret(path, SETTING)
    assert str(raised.value) == f"{SETTING}: {path}{reason}"


def test_a_login_is_the_user_and_the_password_that_the_file_holds_now(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("sécret\n", encoding="utf-8")
    assert read_login("", path, SETTING) is None
    login = read_login("ü", path, SETTING)
    assert login == ("ü", "sécret")
    with pytest.raises(SecretFileError, match=f"^{SETTING} is needed with a username$"):
        read_login("ü", None, SETTING)
    assert authorization(login) == {"Authorization": "Basic w7w6c8OpY3JldA=="}
    assert authorization(None) == {}


def test_the_secret_before_is_valid_for_a_while_and_a_missing_file_changes_nothing(
    tmp_path: Path,
) -> None:
    path, now = tmp_path / "secret", 0.0
    path.write_text("old")
    secret = ReplaceableSecret(path, SETTING, lambda: now)
    path.unlink()
    assert secret() == ("old",)
    path.write_text("new")
    assert secret() == ("new", "old")
    now += GRACE_SECONDS
    assert secret() == ("new", "old")
    now += 1
    assert secret() == ("new",)
