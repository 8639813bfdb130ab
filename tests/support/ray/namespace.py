"""A network namespace with the loopback interface only, in which all processes end with the namespace."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.components import unavailable

CLONE_NEWNET = 0x40000000
UP = "ip link set lo up && echo up && exec sleep infinity"


class Namespace:
    """Processes that nobody outside can connect to, and that cannot connect to the outside.

    Args:
        init: `unshare`, whose end kills all processes inside.
        pid: of the first process inside, as seen from outside.
    """

    def __init__(self, init: subprocess.Popen[str], pid: int) -> None:
        self._init = init
        self.pid = pid

    def command(self, *arguments: str) -> list[str]:
        """The command that runs this one inside."""
        enter = ("nsenter", "--target", str(self.pid), "--net", "--pid", "--mount", "--")
        return [*enter, *arguments]

    def run(self, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a program inside until it ends."""
        return subprocess.run(
            self.command(*arguments),
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def joined(self) -> Iterator[None]:
        """This thread, and those that it starts meanwhile, use the network inside."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (
            Path("/proc/thread-self/ns/net").open() as own,
            Path(f"/proc/{self.pid}/ns/net").open() as inside,
        ):
            enter(libc, inside.fileno())
            try:
                yield
            finally:
                enter(libc, own.fileno())

    def close(self) -> None:
        """End everything inside."""
        self._init.send_signal(signal.SIGKILL)
        self._init.communicate()


def enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def network_namespace() -> Iterator[Namespace]:
    """A namespace; everything inside ends with the block."""
    if os.geteuid() != 0:
        unavailable("a network namespace needs root")
    init = subprocess.Popen(
        ["unshare", "-n", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c", UP],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert init.stdout is not None
    if init.stdout.readline() != "up\n":
        unavailable("no network namespace: unshare -n and ip are needed")
    children = Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()
    namespace = Namespace(init, int(children[0]))
    try:
        yield namespace
    finally:
        namespace.close()
