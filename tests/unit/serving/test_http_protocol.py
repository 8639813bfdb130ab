"""A connection that ends between the head of a response and its body."""

from __future__ import annotations

import asyncio
from unittest.mock import create_autospec

from tidegate.serving.http_protocol import JoinedWrites


async def test_a_held_head_is_dropped_when_the_client_has_reset_the_connection() -> None:
    transport = create_autospec(asyncio.Transport, instance=True)
    transport.is_closing.return_value = True
    # As uvloop's in the turn after a reset; the loop would log it as an error.
    transport.write.side_effect = RuntimeError("the handler is closed")
    joined = JoinedWrites(transport, asyncio.get_running_loop())
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.sleep(0)
    transport.write.assert_not_called()
