"""Hands work to the workers of a running Dask scheduler, on this machine or on others of the same file system."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from distributed import Client, Future, get_worker
from distributed.scheduler import KilledWorker

from occlufacediff.errors import ConfigError
from occlufacediff.workflow.fingerprint import ROOT, fingerprint

log = logging.getLogger(__name__)

#: How long a scheduler may take to answer, and how long it may be without a single worker, seconds.
CONNECT_S, NO_WORKER_S = 30.0, 600.0
#: How often the workers are looked for while nothing is done, seconds.
LOOK_S = 10.0
# A worker with several threads does one item at a time: the folder it stands in is the process's, and detectors are
# not made for several threads.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class _Order:
    """What all items of one call share; it travels once to each worker."""

    do: Callable[[Any], object]
    folder: Path
    module: str
    code: str


@dataclass(frozen=True)
class _Item:
    """Keeps Dask from looking into an item for things of its own."""

    value: Any


def run_elsewhere(
    do: Callable[[Any], object],
    items: Mapping[str, Any],
    scheduler: str,
    *,
    module: str,
    done: Callable[[], object],
) -> None:
    """Call ``do(item)`` for every item by the workers of ``scheduler``, and ``done()`` here after each.

    A worker that dies costs what it was just doing: that item is done again by another one. What is done is let go
    of at once, because the scheduler would do it again when the worker that did it dies.

    Args:
        do: importable by scheduler and workers; must bear being called twice for an item. Called in this process's
            working folder, one item at a time in each worker process.
        items: by the names that errors call them, in the order in which they are begun.
        scheduler: its address, such as ``tcp://node1:8786``.
        module: of this package; workers that have loaded other code of it or of what it imports are refused.
        done: for a progress bar.

    Raises:
        ConfigError: there is no scheduler, it goes away, it has no worker for ten minutes, its workers lack this
            folder or have other code, or an item kills its workers.
    """
    if not items:
        return
    with _connected(scheduler) as client:
        order = client.submit(_same, _Order(do, Path.cwd(), module, fingerprint(module)), pure=False)
        finished: SimpleQueue[Future] = SimpleQueue()
        open_ = dict(
            zip(client.map(_do, [_Item(item) for item in items.values()], order=order, pure=False), items, strict=True)
        )
        for future in open_:
            future.add_done_callback(finished.put)
        while open_:
            future = _next(finished, client, scheduler)
            name = open_.pop(future)
            try:
                future.result()
            except KilledWorker as error:
                raise ConfigError(
                    f"dask.scheduler: {error.allowed_failures + 1} workers of {scheduler} died one after the other, "
                    f"the last with {name} in hand; their logs tell why (often: too little memory). "
                    "What is finished is kept."
                ) from error
            except CancelledError as error:
                raise ConfigError(
                    f"dask.scheduler: the Dask scheduler at {scheduler} has gone away in the middle; start it and its "
                    "workers again, then run again. What is finished is kept."
                ) from error
            done()


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"dask.scheduler: no Dask scheduler answers at {scheduler!r} ({' '.join(str(error).split())}); start one "
            "with `dask scheduler` and give its address, such as tcp://node1:8786, or set dask.scheduler: null"
        ) from error
    with client:
        yield client


def _next(finished: SimpleQueue[Future], client: Client, scheduler: str) -> Future:
    """The next future that ended; complains while there is no worker, and at last gives up."""
    begun = time.monotonic()
    while True:
        try:
            return finished.get(timeout=LOOK_S)
        except Empty:
            if client.status == "running" and client.nthreads():
                begun = time.monotonic()
                continue
        waited = time.monotonic() - begun
        if waited > NO_WORKER_S:
            raise ConfigError(
                f"dask.scheduler: {scheduler} has had no worker for {waited:.0f} s; start some with "
                f"`dask worker {scheduler} --nthreads 1`. What is finished is kept."
            )
        log.warning("%s has no worker; start some with: dask worker %s --nthreads 1", scheduler, scheduler)


def _same(order: _Order) -> _Order:
    return order


@cache
def _loaded(module: str) -> str:
    """Fingerprint of a module when this worker first used it, so of the code that the worker has in memory."""
    return fingerprint(module)


def _do(item: _Item, order: _Order) -> None:
    """Do one item; runs in a worker."""
    with _ONE_AT_A_TIME:
        if _loaded(order.module) != order.code:
            raise ConfigError(
                f"dask.scheduler: the worker {get_worker().address} on {socket.gethostname()} runs other code than "
                f"this workflow (package {ROOT}); start the workers anew, from the same checkout"
            )
        if not order.folder.is_dir():
            raise ConfigError(
                f"dask.scheduler: the worker {get_worker().address} on {socket.gethostname()} has no folder "
                f"{order.folder}; workers must see this folder under the same path"
            )
        with chdir(order.folder):
            order.do(item.value)
