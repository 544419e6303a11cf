"""Atomic file writing, digests, and HDF5 files whose bytes depend on their content only."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from occlufacediff.storage import faults_named, write_fault

#: Identifies one boot of one machine, unlike the host name, which containers and cloned machines can share.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Process numbers are unique within such a namespace only; each container has its own.
_PID_NAMESPACE = Path("/proc/self/ns/pid")


@contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block ends without an error.

    The temporary name keeps the suffix of ``path``, because encoders choose a container by it. On an error the
    temporary file is removed and ``path`` is unchanged. Temporary files of killed processes are removed.

    Raises:
        StorageError: the disk is full, the folder is read-only or vanished.
    """
    target = Path(path)
    with faults_named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(target)
        aside = _new_file(target)
    try:
        yield aside
        aside.replace(target)
    except Exception as error:
        fault = write_fault(error, target, aside)
        if fault is not None:
            raise fault from error
        raise
    finally:
        # A disk that fails now must not hide the first error.
        with suppress(OSError):
            aside.unlink(missing_ok=True)
            # A worker killed just before this block began may have been counted as running.
            _remove_orphans(target)


def _new_file(target: Path) -> Path:
    """Create an empty temporary file for ``target``; its name identifies this process."""
    process = os.getpid()
    owner = f"{_process_space()}-{process}-{_start_time(process) or 0}"
    while True:
        aside = target.with_name(f".{target.stem}.{owner}-{secrets.token_hex(4)}{target.suffix}")
        with suppress(FileExistsError):
            # The kernel applies the umask. Reading it from Python would change it for all threads.
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            return aside


def _remove_orphans(target: Path) -> None:
    """Remove temporary files of ``target`` whose process certainly ended; files of other machines are kept."""
    space = _process_space()
    if space == "unknown":
        return
    name = re.compile(rf"\.{re.escape(target.stem)}\.{space}-(\d+)-(\d+)-[0-9a-f]{{8}}{re.escape(target.suffix)}")
    with os.scandir(target.parent) as entries:
        found = [(Path(entry.path), match) for entry in entries if (match := name.fullmatch(entry.name))]
    for path, match in found:
        if _start_time(int(match[1])) not in (int(match[2]), 0):
            path.unlink(missing_ok=True)


def _process_space() -> str:
    """Digest of where process numbers are unique: this boot of this machine, and this container; else "unknown"."""
    try:
        space = f"{_BOOT_ID.read_text()}{_PID_NAMESPACE.readlink()}"
    except OSError:
        return "unknown"
    return hashlib.sha256(space.encode()).hexdigest()[:12]


def _start_time(process: int) -> int | None:
    """Start of a running process in ticks since boot; 0: access denied, None: it ended (or is a zombie)."""
    try:
        # The program's name, in parentheses, can contain anything; the state follows it.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        return 0
    return None if fields[0] == "Z" else int(fields[19])


class _Sink(io.RawIOBase):
    """A file object for HDF5 that stores the first error and discards later writes.

    HDF5 cannot close a file after a failed write, and crashes the process at exit.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int | None:
        return self._file.readinto(buffer)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while self.error is None and done < len(view):
            try:
                done += self._file.write(view[done:])
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._file.seek(len(view) - done, os.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size or 0

    def flush(self) -> None:
        """Nothing to do: writes are not buffered."""

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def new_hdf5(path: Path | str, alignment: int = 1) -> Iterator[h5py.File]:
    """Open a new HDF5 file by `written_aside`; equal content written in equal order gives equal bytes.

    Args:
        path: of the file.
        alignment: arrays begin at multiples of this many bytes.

    Raises:
        StorageError: as `written_aside`.
    """
    with written_aside(path) as aside:
        sink = _Sink(aside)
        try:
            with h5py.File(
                sink,
                "w",
                track_order=False,
                libver="v110",
                alignment_threshold=1,
                alignment_interval=alignment,
            ) as file:
                yield file
        finally:
            sink.close()
            if sink.error is not None:
                raise sink.error


def file_version(path: Path | str) -> tuple[Path, int, int]:
    """Absolute path, size and time of change of a file: the key of caches that outlive the file's content.

    Size and time are -1 if there is no such file; whoever reads it reports the error.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return Path(path).resolve(), -1, -1
    return Path(path).resolve(), status.st_size, status.st_mtime_ns


def sha256(path: Path | str) -> str:
    """SHA-256 of a file, as lower-case hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
