"""Reading, decoding and parsing of a body, and the reasons why one is refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive

from support.request_errors import says
from tidegate.service.http.body import MAX_MEMBERS, SEARCHED_BYTES, parse_json, read_body
from tidegate.service.request_errors import RequestError

JSON = {"content-type": "application/json"}


def request(
    chunks: Sequence[bytes], headers: dict[str, str], *, disconnects: bool = False
) -> tuple[dict[bytes, bytes], Receive]:
    """The headers and the channel of a request whose body arrives in chunks; its client may disconnect."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append({"type": "http.disconnect"} if disconnects else {"type": "http.request"})

    async def receive() -> Message:
        return messages.pop(0)

    return {name.encode(): value.encode() for name, value in headers.items()}, receive


async def test_chunks_are_joined() -> None:
    assert await read_body(*request([b'{"a"', b":1}"], JSON), 100) == b'{"a":1}'


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", gzip.compress(b"[1]", mtime=0)),
        ("gzip", gzip.compress(b"[", mtime=0) + gzip.compress(b"1]", mtime=0)),
        ("deflate", zlib.compress(b"[1]")),
        ("identity", b"[1]"),
    ],
)
async def test_an_encoded_body_is_decoded(encoding: str, content: bytes) -> None:
    headers = JSON | {"content-encoding": encoding}
    assert await read_body(*request([content], headers), 100) == b"[1]"


@pytest.mark.parametrize(
    ("chunks", "headers", "status", "kind"),
    [
        ([b"x" * 60, b"x" * 60], JSON, 413, "body_too_large"),
        ([], JSON | {"content-length": "101"}, 413, "body_too_large"),
        ([gzip.compress(b" " * 101)], JSON | {"content-encoding": "gzip"}, 413, "body_too_large"),
        ([b"junk"], JSON | {"content-encoding": "gzip"}, 400, "content_encoding"),
        ([gzip.compress(b"[1]", mtime=0)[:-4]], JSON | {"content-encoding": "gzip"}, 400, "content_encoding"),
        (
            [gzip.compress(b"[1]", mtime=0) + b"junk"],
            JSON | {"content-encoding": "gzip"},
            400,
            "content_encoding",
        ),
        (
            [zlib.compress(b"[1]") + zlib.compress(b"[2]")],
            JSON | {"content-encoding": "deflate"},
            400,
            "content_encoding",
        ),
        ([gzip.compress(b"x" * 60, mtime=0) * 2], JSON | {"content-encoding": "gzip"}, 413, "body_too_large"),
        ([b"[]"], JSON | {"content-encoding": "br"}, 415, "content_encoding"),
        ([b"[]"], {"content-type": "text/plain"}, 415, "content_type"),
        ([b"[]"], {}, 415, "content_type"),
    ],
)  # fmt: skip
async def test_a_refused_body_has_a_reason(
    chunks: list[bytes], headers: dict[str, str], status: int, kind: str
) -> None:
    with pytest.raises(RequestError) as caught:
        await read_body(*request(chunks, headers), 100)
    assert (caught.value.status, caught.value.type) == (status, kind)


async def test_the_number_of_gzip_members_is_limited() -> None:
    body = gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1)
    with pytest.raises(RequestError, check=says("more than 64 gzip members; compress it as one")):
        await read_body(*request([body], JSON | {"content-encoding": "gzip"}), 100_000)


async def test_a_zip_bomb_is_not_inflated() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(RequestError, check=says("at most 100000 bytes")):
        await read_body(*request([bomb], JSON | {"content-encoding": "gzip"}), 100_000)


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "application/octet-stream"}, {"content-type": "text/plain"}]
)
async def test_the_content_type_can_be_ignored(headers: dict[str, str]) -> None:
    assert await read_body(*request([b"[]"], headers), 9, check_type=False) == b"[]"


@pytest.mark.parametrize(
    "name", ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"]
)
async def test_each_json_content_type_is_accepted(name: str) -> None:
    assert await read_body(*request([b"[]"], {"content-type": name}), 9) == b"[]"


async def test_a_client_that_disconnects_while_sending_is_a_499() -> None:
    with pytest.raises(RequestError) as caught:
        await read_body(*request([b"{"], JSON, disconnects=True), 100)
    assert (caught.value.status, caught.value.type) == (499, "client_gone")


@pytest.mark.parametrize("text", [b"", b"  ", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":nope}'])
def test_invalid_json_is_a_400(text: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_json(text)
    assert (caught.value.status, caught.value.type) == (400, "json_invalid")


def test_the_error_of_nan_or_infinity_gives_its_location() -> None:
    with pytest.raises(RequestError) as caught:
        parse_json(b'{"instances":[{"temp":1,"humid":NaN},{"temp":-Infinity}]}')
    assert caught.value.status == 422
    assert [detail.loc for detail in caught.value.details] == [
        ("body", "instances", 0, "humid"),
        ("body", "instances", 1, "temp"),
    ]


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_long_body_is_not_searched_for_nan(
    number: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = (b"[" + b"0," * (bytes_ // 2 - 100) + number + b"]" for bytes_ in SIZES)
    with pytest.raises(RequestError) as caught:
        parse_json(short)
    assert caught.value.details[0].loc == ("body", SIZES[0] // 2 - 100)

    monkeypatch.setattr(
        "tidegate.service.http.body.json.loads", None
    )  # it would take 50 ms for 100 KB
    with pytest.raises(RequestError) as caught:
        parse_json(long)
    (detail,) = caught.value.details
    assert (caught.value.status, detail.loc, detail.type) == (422, ("body",), "finite_number")
    position = 1 + SIZES[1] - 200 + number.startswith(b"-")
    assert detail.msg.endswith(f"JSON has no NaN or infinity (character {position + 1})")


SIZES = (SEARCHED_BYTES, 4 * SEARCHED_BYTES)
