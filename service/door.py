"""Closing a listening socket without breaking a connection that a client already has.

The kernel completes connections by itself and queues them. Those still in the queue when the socket closes
are reset, requests and all. So first the kernel is told to ignore new ones, then the queue is emptied by
accepting, and only then is the socket closed; whoever knocked meanwhile knocks again, and is refused.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress
from typing import Final

SETTLE_SECONDS: Final = 0.05
"""How long the queue is emptied before the socket closes: a client's last step, and its request, may still
be on their way."""

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; Python has no name for it
_FLAGS_OFFSET: Final = 13  # in the TCP header, where such a filter starts to read
_SYN, _ACK = 0x02, 0x10
# Classic BPF (linux/filter.h), as (code, jump if true, jump if false, operand).
_DROP_SYN: Final = (
    (0x30, 0, 0, _FLAGS_OFFSET),  # load the byte of flags
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # SYN without ACK: someone new
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else let all of it through
)


def ignore_newcomers(listener: socket.socket) -> None:
    """Let the kernel complete no further connection to a listening TCP socket.

    Where such filters cannot be set, nothing happens: then a client that connects in the very moment in
    which the socket closes may be reset, as anywhere else.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(held))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
