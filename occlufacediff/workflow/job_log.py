"""Log file, console progress and error handling of the workflow's scripts."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from occlufacediff.errors import OccluFaceError
from occlufacediff.storage import storage_error
from occlufacediff.threads import limit_threads

#: A terminal's colour and cursor sequences.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class LoggedJob:
    """Redirect all output of this process, its libraries and children to a log; show progress and errors.

    The operating system writes to the log directly, so the log is complete even if the process is killed. The text that
    a progress bar writes after a carriage return counts as progress. Its latest state is shown on the console every few
    seconds, on a separate line with the job's title, because several jobs share the console.

    An :class:`OccluFaceError` is shown as one line without a traceback. Other exceptions are one line too, with the
    traceback in the log. Both end the process with status 1, and so does a log that cannot be written. If the disk is
    full, the error is still shown.
    """

    def __init__(self, log: Path | str, title: str, *, every: float = 5.0) -> None:
        """Prepare.

        Args:
            log: the file; replaced if it exists.
            title: name of the job on the console.
            every: seconds between two lines of progress on the console.
        """
        self._log = Path(log)
        self._title = title
        self._every = every
        self._done = threading.Event()
        self._read = 0
        self._thread = threading.Thread(target=self._echo, name="progress", daemon=True)

    def __enter__(self) -> LoggedJob:
        sys.stdout.flush()
        sys.stderr.flush()
        self._stderr = sys.stderr
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        except OSError as error:
            print(f"ERROR: {self._title}: {storage_error(error, self._log) or error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from error
        self._out, self._err = os.dup(1), os.dup(2)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        message = None
        # An error without a file name comes from output, which goes to the log.
        fault = storage_error(error, unnamed=self._log) if isinstance(error, OSError) else None
        # The log may be on the full disk.
        with suppress(OSError):
            if isinstance(error, OccluFaceError):
                message = f"{self._title}: {error}"
                print(f"ERROR: {error}", file=sys.stderr)
            elif isinstance(error, Exception):
                message = f"{self._title}: {kind.__name__ if kind else ''}: {error}"
                message = f"{f'{self._title}: {fault}' if fault else message} (traceback in {self._log})"
                traceback.print_exception(error)
        self._done.set()
        self._thread.join()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os.dup2(self._out, 1)
        os.dup2(self._err, 2)
        os.close(self._out)
        os.close(self._err)
        # The filter of native output may have replaced it by one that writes to the log.
        sys.stderr = self._stderr
        if message is not None:
            print(f"ERROR: {message}", file=sys.stderr, flush=True)
            # Not a traceback a second time: Snakemake names rule and log after this line.
            raise SystemExit(1) from error

    def _echo(self) -> None:
        """Show the newest progress now and then, until the job is done."""
        shown = ""
        while not self._done.wait(self._every):
            line = self._newest()
            if line and line != shown:
                os.write(self._err, f"[{self._title}] {line}\n".encode())
                shown = line

    def _newest(self) -> str:
        """The last progress line that came to the log since the last look; empty where none came."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            # If the log is missing, there is no progress to show; the job reports the error.
            return ""
        self._read += len(new)
        parts = [line.rpartition("\r")[2] for line in new.decode(errors="replace").split("\n") if "\r" in line]
        lines = [text for text in (_ESCAPES.sub("", part).strip() for part in parts) if text]
        return lines[-1] if lines else ""


def logged(snakemake: Any) -> LoggedJob:
    """The log of a script's job: file and title come from the object that Snakemake gives to a script."""
    limit_threads(snakemake.threads)
    what = ", ".join(str(value) for value in snakemake.wildcards)
    return LoggedJob(snakemake.log[0], f"{snakemake.rule} {what}".strip())
