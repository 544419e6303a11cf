"""Files that appear whole or not at all, digests, and HDF5 whose bytes depend only on its content."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from occlufacediff.storage import faults_named, write_fault

#: This machine, in names of files that are being written.
_HERE = f"{zlib.crc32(platform.node().encode()):08x}"


@contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it into place when the block ends without an error.

    The temporary name keeps the suffix of ``path``, because encoders choose a container by it. On an error the
    temporary file is removed and ``path`` is left as it was. What a killed process left behind is removed.

    Raises:
        StorageError: the disk is full, the folder is read-only or vanished.
    """
    target = Path(path)
    with faults_named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(target)
        prefix = f".{target.stem}.{_HERE}-{os.getpid()}-"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        # mkstemp makes files for the owner alone; give what the process's umask grants.
        umask = os.umask(0)
        os.umask(umask)
        aside.chmod(0o666 & ~umask)
        aside.replace(target)
    except Exception as error:
        fault = write_fault(error, target, aside)
        if fault is not None:
            raise fault from error
        raise
    finally:
        # A disk that fails now must not hide why it failed before.
        with suppress(OSError):
            aside.unlink(missing_ok=True)
            # A worker that was killed as this began may have been dying then.
            _remove_orphans(target)


def _remove_orphans(target: Path) -> None:
    """Remove what processes of this machine that are no more left aside of ``target``."""
    name = re.compile(rf"\.{re.escape(target.stem)}\.{_HERE}-(\d+)-\w{{8}}{re.escape(target.suffix)}")
    with os.scandir(target.parent) as entries:
        found = [(Path(entry.path), match[1]) for entry in entries if (match := name.fullmatch(entry.name))]
    for path, process in found:
        if not _lives(process):
            path.unlink(missing_ok=True)


def _lives(process: str) -> bool:
    """Whether a process of this number runs; one that ended and that nobody asked after (a zombie) does not."""
    try:
        # Its name, in brackets, may hold anything; the state follows.
        return Path("/proc", process, "stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        # Another user's, on a machine that hides those.
        return True


class _Sink(io.RawIOBase):
    """A file for HDF5 that never fails: the first error is kept, and what comes after it is thrown away.

    HDF5 cannot close a file that cannot be written, and crashes the whole process at its end.
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
        """Nothing is held back."""

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def new_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """Open a new HDF5 file for writing, written aside; equal content written in equal order gives equal bytes.

    Raises:
        StorageError: as `written_aside`.
    """
    with written_aside(path) as aside:
        sink = _Sink(aside)
        try:
            with h5py.File(sink, "w", track_order=False, libver="v110") as file:
                yield file
        finally:
            sink.close()
            if sink.error is not None:
                raise sink.error


def sha256(path: Path | str) -> str:
    """SHA-256 of a file, as lower-case hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
