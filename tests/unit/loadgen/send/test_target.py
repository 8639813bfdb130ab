"""The target is on this machine unless --allow-remote is set."""

from __future__ import annotations

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.send.target import header, request_method, target_url


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://127.0.0.1:8000", "/predict", "http://127.0.0.1:8000/predict"),
        ("http://127.9.8.7:8000/", "/predict", "http://127.9.8.7:8000/predict"),
        ("http://localhost:8000/v1", "/predict", "http://localhost:8000/v1/predict"),
        ("https://[::1]:8443", "/a/b", "https://[::1]:8443/a/b"),
    ],
)
def test_this_machine_is_accepted(base: str, path: str, url: str) -> None:
    assert str(target_url(base, path, allow_remote=False)) == url


@pytest.mark.parametrize(
    "base",
    [
        "http://example.com",
        "http://10.0.0.1:8000",
        "http://0.0.0.0:8000",
        "http://127.0.0.1.example.com:8000",
        "http://127.0.0.1@example.com/",
        "http://localhost.example.com",
        "http://[::2]:8000",
    ],
)
def test_another_machine_requires_the_option(base: str) -> None:
    with pytest.raises(UsageError, match=r"is not this machine.*--allow-remote"):
        target_url(base, "/predict", allow_remote=False)
    assert target_url(base, "/predict", allow_remote=True).path == "/predict"


@pytest.mark.parametrize("base", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://a:b"])
def test_an_invalid_url_is_an_error(base: str) -> None:
    with pytest.raises(UsageError, match="expected a URL such as"):
        target_url(base, "/predict", allow_remote=False)


def test_a_path_begins_with_a_slash_and_may_have_a_query() -> None:
    url = target_url("http://127.0.0.1:8000", "/search?q=green+tea&n=2", allow_remote=False)
    assert (url.path, dict(url.query)) == ("/search", {"q": "green tea", "n": "2"})
    with pytest.raises(UsageError, match="--path predict: must start with /"):
        target_url("http://127.0.0.1:8000", "predict", allow_remote=False)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/predict"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/predict"),
        ("http://127.0.0.1:8000/quote?n=2", "http://127.0.0.1:8000/quote?n=2"),
    ],
)
def test_without_a_path_that_of_the_url_is_kept(base: str, url: str) -> None:
    assert str(target_url(base, None, allow_remote=False)) == url


def test_a_header_is_a_name_and_a_value() -> None:
    assert header("X-Key:  a: b ") == ("X-Key", "a: b")
    for text in ("X-Key", "X Key: 1", "X-Key: a\r\nB: c", ": 1", "X-Key: \x00"):
        with pytest.raises(UsageError, match="expected 'Name: value'"):
            header(text)


def test_a_method_is_a_word_of_letters() -> None:
    assert request_method("get") == "GET"
    with pytest.raises(UsageError, match="--method G T: expected an HTTP method such as POST"):
        request_method("G T")
