"""Parallel downloads with one progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from threading import Event, Lock

from tqdm import tqdm

from occlufacediff.acquire.checksums import expected, remember
from occlufacediff.acquire.credentials import Anonymous, bearer, from_environment
from occlufacediff.acquire.sources import FORM, TOKEN, Remote
from occlufacediff.acquire.transfer import Fetched, Login, Transfer
from occlufacediff.config.acquire import DownloadSettings


def fetch_files(
    wanted: Mapping[Path, Remote], *, settings: DownloadSettings, title: str = "fetch"
) -> dict[Path, Fetched]:
    """Download files, ``settings.parallel`` at a time; each appears when it is complete and verified.

    Args:
        wanted: target -> remote file.
        title: title of the progress bar (on standard error: bytes, speed, time left).

    Raises:
        AssetError: a credential is missing or a file cannot be downloaded; the others stop, and resume in the next run.
    """
    logins = {login: _login(login, settings) for login in {remote.login for remote in wanted.values()}}
    table, stop = Path(settings.checksums), Event()
    fetched: dict[Path, Fetched] = {}
    with _Progress(title) as progress, ThreadPoolExecutor(settings.parallel) as pool:
        jobs = {
            pool.submit(
                Transfer(
                    remote,
                    target,
                    logins[remote.login],
                    expected(remote, table),
                    settings=settings,
                    report=partial(progress.update, target),
                    stop=stop,
                ).run
            ): target
            for target, remote in wanted.items()
        }
        try:
            for job in as_completed(jobs):
                target = jobs[job]
                fetched[target] = job.result()
                remember(wanted[target], fetched[target].size, fetched[target].sha256, table)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return {target: fetched[target] for target in wanted}


def _login(login: str, settings: DownloadSettings) -> Login:
    if login == TOKEN:
        return Login(bearer(settings.token_variable, settings.token_command))
    if login == FORM:
        return Login(
            Anonymous(),
            from_environment(settings.user_variable, "user_variable", "the user name on the owner's site"),
            from_environment(settings.password_variable, "password_variable", "the password on the owner's site"),
        )
    return Login(Anonymous())


class _Progress:
    """Progress of all files. Parts of earlier runs count as done, but not for the speed."""

    def __init__(self, title: str) -> None:
        self._bar = tqdm(desc=title, unit="B", unit_scale=True, unit_divisor=1024, mininterval=0.5)
        self._lock = Lock()
        self._known: dict[Path, tuple[int, int | None]] = {}

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, target: Path, done: int, length: int | None) -> None:
        """Report that ``done`` of ``length`` bytes of a file are downloaded."""
        with self._lock:
            first = target not in self._known
            gained = done - self._known.get(target, (0, None))[0]
            self._known[target] = done, length
            lengths = [length for _, length in self._known.values()]
            self._bar.total = None if None in lengths else sum(length for length in lengths if length is not None)
            if first:
                self._bar.initial += gained
                self._bar.n += gained
                self._bar.last_print_n += gained
                self._bar.refresh()
            else:
                self._bar.update(gained)
