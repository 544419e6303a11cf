"""Worker processes on this machine."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Thread
from types import ModuleType
from typing import TypeVar

from occlufacediff.errors import OccluFaceError

#: Variables with which libraries read their number of threads.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")

Item = TypeVar("Item")
Result = TypeVar("Result")


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """New processes (MediaPipe does not survive a fork), all started, each computing with one thread.

    They end when this process ends, however it ends.
    """
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_as_orphan, initargs=(os.getpid(),)
    )
    main, environment = sys.modules["__main__"], dict(os.environ)
    # A new process would run the calling script again, and libraries read their number of threads on import.
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    os.environ["LP_NUM_THREADS"] = "0"
    try:
        wait([pool.submit(os.getpid) for _ in range(workers)])
    finally:
        sys.modules["__main__"] = main
        os.environ.clear()
        os.environ.update(environment)
    return pool


def in_order(
    pool: ProcessPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[Result]:
    """Results of ``work`` on each item, in the items' order.

    Args:
        pool: the processes.
        work: a picklable function.
        items: are taken as results are used.
        ahead: number of items that are worked on before their results are used; bounds the memory.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def worker_faults(option: str, remark: str = "") -> Iterator[None]:
    """Name the end of a worker process as an error for the user.

    Args:
        option: option or key that sets the number of processes.
        remark: part of the message.

    Raises:
        OccluFaceError: a worker was killed.
    """
    try:
        yield
    except BrokenProcessPool as error:
        raise OccluFaceError(
            f"a worker process was killed, most often because memory ran out; {remark}run again with fewer processes "
            f"({option}) or more memory"
        ) from error


def _end_as_orphan(parent: int) -> None:
    """End a worker with its parent: if the parent is killed, the worker would wait for its next work forever."""
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(1)
