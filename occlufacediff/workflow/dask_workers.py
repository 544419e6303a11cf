"""Runs work on the workers of a running Dask scheduler, on this machine or others that share its file system."""

from __future__ import annotations

import asyncio
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

from distributed import Client, Future, Security, get_worker
from distributed.core import connect
from distributed.scheduler import KilledWorker

from occlufacediff.errors import ConfigError
from occlufacediff.workflow.fingerprint import ROOT, fingerprint

log = logging.getLogger(__name__)

#: Longest time until a scheduler answers, and longest time without any worker, seconds.
CONNECT_S, NO_WORKER_S = 30.0, 600.0
#: Interval of checks for workers while no item finishes, seconds.
LOOK_S = 10.0
# A worker with several threads processes one item at a time: its threads share the working folder, and detectors are
# not thread-safe.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class _Order:
    """What all items of one call share; sent to each worker once."""

    do: Callable[[Any], object]
    folder: Path
    module: str
    code: str


@dataclass(frozen=True)
class _Item:
    """Hides an item from Dask, which would search it for tasks."""

    value: Any


def run_elsewhere(
    do: Callable[[Any], object],
    items: Mapping[str, Any],
    scheduler: str,
    *,
    module: str,
    done: Callable[[], object],
) -> None:
    """Call ``do(item)`` for every item on the workers of ``scheduler``, and ``done()`` here after each item.

    If a worker dies, another worker repeats its current item. Results are released at once, because the scheduler
    would compute them again when their worker dies.

    Args:
        do: importable by scheduler and workers; may be called twice for an item. Called in this process's working
            folder, one item at a time in each worker process.
        items: items by the name used in errors, in the order of processing.
        scheduler: its address, such as ``tcp://node1:8786`` or ``tls://node1:8786``.
        module: a module of this package; workers that have loaded another version of it or its imports are refused.
        done: called after each item, for a progress bar.

    Raises:
        ConfigError: there is no scheduler, it stops, it has no worker for ten minutes, its workers do not see this
            folder or run other code, or an item kills its workers.
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
                    f"the last while processing {name}; see their logs (often: too little memory). "
                    "Finished clips are kept."
                ) from error
            except CancelledError as error:
                raise ConfigError(
                    f"dask.scheduler: the Dask scheduler at {scheduler} stopped during the run; start it and its "
                    "workers again, then run again. Finished clips are kept."
                ) from error
            done()


def is_open(scheduler: str) -> bool:
    """Whether other machines can reach a scheduler at this address without TLS."""
    protocol, _, place = scheduler.rpartition("://")
    host = place.rpartition(":")[0].strip("[]")
    return protocol != "tls" and host not in ("127.0.0.1", "localhost", "::1")


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    if is_open(scheduler):
        log.warning(
            "The Dask scheduler %s has no encryption or authentication: everyone who reaches its port can run code as "
            "this user. Use TLS or a firewall (docs/cluster.md).",
            scheduler,
        )
    try:
        # A client that fails to connect is left half open: when it is collected it takes a lock of `distributed`, which
        # blocks for ever if another client is starting in the same thread. So the address is tried without a client.
        asyncio.run(_try(scheduler))
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"dask.scheduler: no Dask scheduler answers at {scheduler!r} ({' '.join(str(error).split())}); start one, "
            "on this machine with `dask scheduler --host 127.0.0.1`, on several as in docs/cluster.md, and give its "
            "address, or set dask.scheduler: null"
        ) from error
    with client:
        yield client


async def _try(scheduler: str) -> None:
    """Connect to a scheduler and disconnect.

    Raises:
        ValueError, OSError: the address has an unknown protocol or host, or nothing answers.
    """
    comm = await connect(scheduler, timeout=CONNECT_S, **Security().get_connection_args("client"))
    await comm.close()


def _next(finished: SimpleQueue[Future], client: Client, scheduler: str) -> Future:
    """The next future that ended; warns while there is no worker, and gives up after `NO_WORKER_S`."""
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
                f"`dask worker {scheduler} --nthreads 1`. Finished clips are kept."
            )
        log.warning("%s has no worker; start some with: dask worker %s --nthreads 1", scheduler, scheduler)


def _same(order: _Order) -> _Order:
    return order


@cache
def _loaded(module: str) -> str:
    """Fingerprint of a module at its first use in this worker: that of the code in the worker's memory."""
    return fingerprint(module)


def _do(item: _Item, order: _Order) -> None:
    """Process one item; runs in a worker."""
    with _ONE_AT_A_TIME:
        if _loaded(order.module) != order.code:
            raise ConfigError(
                f"dask.scheduler: the worker {get_worker().address} on {socket.gethostname()} runs other code than "
                f"this workflow (package {ROOT}); restart the workers from the same checkout"
            )
        if not order.folder.is_dir():
            raise ConfigError(
                f"dask.scheduler: the worker {get_worker().address} on {socket.gethostname()} has no folder "
                f"{order.folder}; workers must see this folder under the same path"
            )
        with chdir(order.folder):
            order.do(item.value)
