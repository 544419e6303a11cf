"""A Dask scheduler and workers as processes of their own, by Dask's command line; and slow work for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from occlufacediff.files import written_aside


class DaskHere:
    """Processes of one scheduler and its workers, standing in a folder that is not the workflow's."""

    def __init__(self, folder: Path, deaths: int) -> None:
        self.folder, self.deaths = folder, deaths
        self.address = ""
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, workers: int) -> None:
        """Start the scheduler and wait for its address and for the workers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.scheduler = self._run("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-show")
        self.address = self._said("scheduler", "Scheduler at:").split()[-1]
        for _ in range(workers):
            # One thread, no nanny: the process is the worker, and nothing starts it again.
            self.workers.append(
                self._run("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", "w")
            )
        for number in range(workers):
            self._said(f"worker{number}", "Registered to:")

    def stop(self) -> None:
        """End every process that still lives, by its id."""
        for process in [*self.workers, self.scheduler]:
            if process is not None and process.poll() is None:
                process.kill()
            if process is not None:
                process.wait()

    def _run(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        name = what if what == "scheduler" else f"worker{len(self.workers)}"
        # Unique: a scheduler takes one worker of a name.
        arguments = tuple(name if argument == "w" else argument for argument in arguments)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        paths = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.deaths)}
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what, *arguments],
                cwd=self.folder,
                env={**os.environ, **threads, **settings, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _said(self, name: str, words: str) -> str:
        log = self.folder / f"{name}.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in log.read_text(errors="replace").splitlines():
                if words in line:
                    return line
            time.sleep(0.1)
        raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def dask_here(folder: Path, workers: int, deaths: int = 3) -> Iterator[DaskHere]:
    """A running scheduler with its workers; ended whatever happens.

    ``deaths``: of workers that an item may cause before it is given up; 3 is Dask's own.
    """
    dask = DaskHere(folder, deaths)
    try:
        dask.start(workers)
        yield dask
    finally:
        dask.stop()


def slow_work(log: Path, seconds: float, clip: str, part: Path) -> dict[str, Any]:
    """Notes who began the clip, takes its time, leaves a part."""
    with log.open("a") as file:
        file.write(f"{clip} {os.getpid()}\n")
    time.sleep(seconds)
    with written_aside(part) as aside:
        aside.write_text(clip)
    return {"frames": len(clip)}


def deadly_work(clip: str, part: Path) -> dict[str, Any]:
    """Takes its process with it at one clip."""
    if clip.endswith("/001"):
        # Long enough for the worker to say that it finished the clip before.
        time.sleep(2)
        os._exit(1)
    part.write_text(clip)
    return {}
