"""A process that has loaded a predictor: the child's loop, and the parent's side of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.predictions import Prediction
from tidegate.service.model.python_runtime.in_threads import ThreadPredictor
from tidegate.service.model.signature import Signature
from tidegate.service.request_errors import RequestError

START_METHOD: Final = "spawn"
"""A fork would copy the threads' locks of the replica in any state."""


class WorkerEndedError(Exception):
    """The process has ended; the text says how. `begun`: it may have begun with the rows."""

    def __init__(self, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun


class Worker:
    """A process with a predictor of its own, which leads a process group.

    Its end is seen by its process id, not by its pipe: processes that the predictor has started inherit the
    pipe, and keep it open. They end with it.
    """

    def __init__(self, signature: Signature, app_dir: Path) -> None:
        context = multiprocessing.get_context(START_METHOD)
        self._name: Final = signature.predictor
        self._pipe, theirs = context.Pipe()
        # No daemon, so that the predictor may have processes of its own.
        self._process = context.Process(
            target=serve, args=(theirs, signature, app_dir), name="predictor", daemon=False
        )
        self._ending: Final = threading.Lock()
        self._process.start()
        theirs.close()
        self._ended: Final = threading.Event()
        threading.Thread(target=self._watch, name="predictor-end", daemon=True).start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid or 0

    def wait_loaded(self) -> None:
        """Wait until the predictor is loaded.

        Raises:
            ArtefactError: it cannot be loaded.
            WorkerEndedError: the process has ended before.
        """
        try:
            problem = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerEndedError(self.ending()) from None
        if problem is not None:
            raise ArtefactError(problem)

    def predict(self, rows: list[dict[str, Any]]) -> Prediction | RequestError:
        """The prediction of rows, or why there is none. One thread calls it at a time.

        Raises:
            WorkerEndedError: the process has ended.
        """
        try:
            self._pipe.send(rows)
        except OSError:
            raise WorkerEndedError(self.ending()) from None
        try:
            found: Prediction | RequestError = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerEndedError(self.ending(), begun=True) from None
        return found

    def wait_ended(self) -> None:
        """Wait until the process ends."""
        self._ended.wait()

    def ending(self) -> str:
        """How the process ended; waits for its end, as its pipe is closed."""
        self.wait_ended()
        with self._ending:  # two threads that collect it at once would lose its exit code
            self._process.join()
        code = self._process.exitcode or 0
        how = f"ended with exit code {code}"
        if code == -signal.SIGKILL:
            how = "was killed (SIGKILL), most likely because there was too little memory for it"
        elif code < 0:
            how = f"ended with {signal.Signals(-code).name}"
        return f"the process of the predictor {self._name} {how}"

    def kill(self) -> None:
        """End the process at once, and those that it has started."""
        # Afterwards its id, and that of its group, may be another one's.
        if not self._ended.is_set():
            self._process.kill()
            self._kill_group()

    def _watch(self) -> None:
        """When the process has ended, end and collect what it has started, and wake who reads from it."""
        try:
            with suppress(ChildProcessError):  # it has been collected already
                # Not its sentinel, which its own processes inherit. Its id stays its own until `ending`.
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self._kill_group()
            with suppress(OSError), socket.socket(fileno=os.dup(self._pipe.fileno())) as pipe:
                pipe.shutdown(socket.SHUT_RDWR)
        finally:
            self._ended.set()
        self.ending()  # collects it, so that only what it has started is left in its group
        with suppress(ChildProcessError):  # none is left, or they are not children of the replica
            while True:  # they are if it is process 1, as in a container: nobody else collects them
                os.waitpid(-self.pid, 0)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def serve(pipe: Connection, signature: Signature, app_dir: Path) -> None:
    """The child: load the predictor, then predict until the parent ends.

    The pipe receives rows, and sends None or why the predictor cannot be loaded, then predictions.
    """
    os.setpgid(0, 0)
    # Ctrl-C reaches every process of the terminal: the replica drains, and ends this one at its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    try:
        predictor = ThreadPredictor(signature, app_dir)
    except ArtefactError as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while True:
        try:
            rows = pipe.recv()
        except EOFError:
            return
        try:
            found: Prediction | RequestError = predictor.predict_rows(rows)
        except RequestError as error:
            found = error
        pipe.send(found)


def _end_with_parent() -> None:
    """Start a process that ends this group as soon as the replica has ended, also by SIGKILL.

    No thread, which a predictor that holds the GIL in C code would stop; and not prctl's PR_SET_PDEATHSIG,
    which would leave the processes that the predictor has started.
    """
    parent = multiprocessing.parent_process()
    if parent is None or os.fork():
        return
    try:
        wait([parent.sentinel])
    finally:
        os.killpg(0, signal.SIGKILL)
