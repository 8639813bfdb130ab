"""A predictor in processes of its own, one for each slot; one that ends is replaced."""

from __future__ import annotations

import atexit
import threading
from http import HTTPStatus
from typing import Any, Final

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.predictions import Prediction
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.python_runtime.worker import Worker, WorkerEndedError
from tidegate.service.model.signature import Signature
from tidegate.service.request_errors import Detail, RequestError
from tidegate.telemetry import get_logger

RETRY_SECONDS: Final = 1.0
RETRY_MAX_SECONDS: Final = 60.0
"""A process that cannot load is started again after 1 s, 2 s, 4 s, … up to 60 s."""
ENDED: Final = "predictor_ended"
"""The error type of a request whose process ended, or that found none."""

log = get_logger("tidegate.service.model.python_runtime.in_processes")


class ProcessPredictor(Predictor):
    """Sends each batch to a process that is idle. Thread-safe.

    Raises:
        ArtefactError: it cannot be loaded.
    """

    def __init__(
        self, signature: Signature, hosting: Hosting, reference: Reference | None = None
    ) -> None:
        super().__init__(signature, reference)
        self._signature, self._hosting = signature, hosting
        self._changed = threading.Condition()
        self._workers: set[Worker] = set()
        self._loaded: set[Worker] = set()
        self._idle: list[Worker] = []
        self._reason = ""
        self._opened = False
        self._closed = threading.Event()
        # A replica that is forced to end does not close it, and would wait for the processes.
        atexit.register(self.close)
        for number in range(hosting.processes):
            threading.Thread(target=self._keep, name=f"predictor-{number}", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._reason or len(self._loaded) == hosting.processes)
            self._opened = not self._reason
        if not self._opened:
            self.close()
            raise ArtefactError(self._reason)

    @property
    def problem(self) -> str:
        """Why no process can predict; empty if one can."""
        with self._changed:
            if self._loaded:
                return ""
            return f"no process of the predictor runs: {self._reason or 'they are being started'}"

    def predict(self, batch: Any) -> Prediction:
        """Predict each row.

        Raises:
            RequestError: 500, it raised or returned something invalid; 503, its process ended.
        """
        while True:
            worker = self._take()
            try:
                found = worker.predict(batch.rows)
            except WorkerEndedError as error:
                self._remove(worker)
                if not error.begun:  # another one can take it
                    continue
                raise _unavailable(f"{error}; it is replaced") from None
            except BaseException:
                worker.kill()  # its pipe may hold half a message
                raise
            self._give_back(worker)
            if isinstance(found, RequestError):
                raise found
            return found

    def close(self) -> None:
        """End the processes, also those at work."""
        self._closed.set()
        atexit.unregister(self.close)
        with self._changed:
            workers = list(self._workers)
            self._changed.notify_all()
        for worker in workers:
            worker.kill()

    def _take(self) -> Worker:
        with self._changed:
            self._changed.wait_for(lambda: self._idle, self._hosting.wait_seconds)
            if self._idle:
                return self._idle.pop()
        raise _unavailable(self.problem or "Every process of the predictor is at work")

    def _give_back(self, worker: Worker) -> None:
        with self._changed:
            if worker in self._loaded:
                self._idle.append(worker)
                self._changed.notify_all()

    def _remove(self, worker: Worker) -> None:
        with self._changed:
            self._loaded.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)

    def _keep(self) -> None:
        """Keep one process running until `close`."""
        pause = RETRY_SECONDS
        while not self._closed.is_set():
            if self._run_one():
                pause = RETRY_SECONDS
            elif not self._opened:
                return
            else:
                self._closed.wait(pause)
                pause = min(2 * pause, RETRY_MAX_SECONDS)

    def _run_one(self) -> bool:
        """Start a process and wait until it ends; returns whether it has loaded the predictor."""
        try:
            worker = Worker(self._signature, self._hosting.app_dir)
        except OSError as error:
            self._ended(f"a process of the predictor cannot be started: {error}")
            return False
        with self._changed:
            self._workers.add(worker)
        if self._closed.is_set():
            worker.kill()
        try:
            worker.wait_loaded()
            with self._changed:
                self._loaded.add(worker)
                self._idle.append(worker)
                self._changed.notify_all()
            worker.wait_ended()
        except (ArtefactError, WorkerEndedError) as error:
            worker.kill()
            worker.ending()
            self._ended(str(error))
            return False
        finally:
            self._remove(worker)
            with self._changed:
                self._workers.discard(worker)
        self._ended(worker.ending())
        return True

    def _ended(self, reason: str) -> None:
        with self._changed:
            self._reason = reason
            self._changed.notify_all()
        if self._opened and not self._closed.is_set():
            log.error("predictor process ended", reason=reason)


def _unavailable(message: str) -> RequestError:
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        Detail(("model",), message, ENDED),
        headers={"Retry-After": "1"},
    )
