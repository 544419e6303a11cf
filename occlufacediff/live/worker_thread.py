"""A thread that works beside a live session, and hands its errors to the session's thread."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self


class WorkerThread(ABC):
    """Works on what it gets, until it is closed. A context manager.

    Subclasses change what they share under ``changed`` and notify it when there is work.

    Args:
        name: of the thread.

    Attributes:
        changed: guards what both threads use.
        cpu_s: processor time of the thread, seconds.
    """

    def __init__(self, name: str) -> None:
        self.changed = threading.Condition()
        self._stopped = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.cpu_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.changed:
            self._stopped = True
            self.changed.notify_all()
        self._thread.join()

    def check(self) -> None:
        """Raise the error that ended the thread, if one did."""
        if self._error is not None:
            raise self._error

    def begin(self) -> None:
        """Called by the thread before its first work."""
        return

    @abstractmethod
    def has_work(self) -> bool:
        """Whether there is work; called with ``changed`` held."""

    @abstractmethod
    def take(self) -> Any:
        """The work; called with ``changed`` held."""

    @abstractmethod
    def work(self, taken: Any) -> None:
        """Do it."""

    def _run(self) -> None:
        try:
            self.begin()
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self._stopped or self.has_work())
                    if self._stopped:
                        return
                    taken = self.take()
                self.work(taken)
                self.cpu_s = time.thread_time()
        except Exception as error:  # noqa: BLE001 - the session's thread raises it
            self._error = error
