"""What HAProxy's runtime interface prints is parsed, or refused."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from tidegate.stack.gateway.runtime_api import (
    GatewayBusyError,
    GatewayUnavailableError,
    RuntimeApi,
    RuntimeApiError,
    Server,
    parse_requests,
    parse_servers,
)


def test_the_servers_are_parsed_from_haproxys_table() -> None:
    answer = (
        "# pxname,svname,qcur,scur,slim,status,\n"
        "model,model1,0,3,4,UP 1/3,\nmodel,model12,0,0,2,DOWN,\nmodel,model3,0,1,2,DRAIN,\n"
        "model,another,0,1,1,UP,\nother,model2,0,9,9,UP,\n\n"
    )
    assert parse_servers(answer) == {
        1: Server(limit=4, requests=3, is_up=True),
        12: Server(limit=2, requests=0, is_up=False),
        3: Server(limit=2, requests=1, is_up=False),
    }


@pytest.mark.parametrize(
    "answer", ["", "Unknown command", "# pxname,svname\nmodel,model1\n", "# pxname\nmodel\n"]
)
def test_an_answer_that_is_not_the_table_is_an_error(answer: str) -> None:
    for parse in (parse_servers, parse_requests):
        with pytest.raises(RuntimeApiError, match="cannot be parsed"):
            parse(answer)


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        ("model,waiting,1,\nmodel,model1,2,\nmodel,BACKEND,5,\n", 4),  # without the plug
        ("model,model1,2,\nmodel,BACKEND,5,\nplug,FRONTEND,1,\n", 5),  # before the plug connects
    ],
)
def test_the_requests_are_those_of_the_backend_without_the_plug(rows: str, number: int) -> None:
    assert parse_requests(f"# pxname,svname,scur,\n{rows}\n") == number


async def test_a_gateway_that_breaks_the_connection_off_may_run_and_one_that_is_away_does_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "admin.sock"
    api = RuntimeApi(path)

    def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What was sent is not read, which resets the connection.
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async with await asyncio.start_unix_server(break_off, path):
        with pytest.raises(RuntimeApiError, match="does not answer") as broken:
            await api.remove(1)
    assert isinstance(broken.value, GatewayBusyError)
    for error in ("refused", "absent"):
        if error == "absent":
            path.unlink(missing_ok=True)
        with pytest.raises(GatewayUnavailableError, match="cannot be reached") as away:
            await api.remove(1)
        assert not isinstance(away.value, GatewayBusyError)
