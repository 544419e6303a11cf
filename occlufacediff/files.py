"""Files that appear whole or not at all, digests, HDF5 whose bytes depend only on its content, faults of a disk."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import re
import resource
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from occlufacediff.errors import ClipError, OccluFaceError

_FREE = "free some space"
_ALLOW = "allow writing there, or choose another folder"
_MOUNT = "see that its disk or network mount is there"
#: What an error number says of the place where a file lies, and what to do about it.
_FAULTS = {
    errno.ENOSPC: ("cannot be written: the disk is full", _FREE),
    errno.EDQUOT: ("cannot be written: the disk quota is used up", f"{_FREE} or ask for more"),
    errno.EFBIG: ("cannot be written: it reached the limit on the size of files", "raise the limit (ulimit -f)"),
    errno.EROFS: ("cannot be written: the folder is read-only", _ALLOW),
    errno.EACCES: ("access is denied", "give this user the right to it, or choose another folder"),
    errno.EPERM: ("access is denied", "give this user the right to it, or choose another folder"),
    errno.ENOENT: ("is gone", _MOUNT),
    errno.ENOTDIR: ("is gone", _MOUNT),
    errno.ESTALE: ("is gone", _MOUNT),
    errno.ENOTCONN: ("its file system does not answer", _MOUNT),
    errno.EIO: ("its disk reports an error", f"{_MOUNT} and healthy"),
}
#: Faults that can only come from writing.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
#: Libraries that raise errors of their own still tell the system's number: HDF5, safetensors, Python, in this order.
_NUMBER = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
#: A disk with less space than this (bytes) is full: what failed to be written is a few blocks more.
_FULL = 1 << 20
#: This machine, in names of files that are being written.
_HERE = f"{zlib.crc32(platform.node().encode()):08x}"


class StorageError(OccluFaceError):
    """A file could not be written or read through no fault of its content: full disk, read-only folder, lost mount."""


def storage_error(
    error: BaseException, path: Path | str | None = None, *, unnamed: Path | str = "a file"
) -> StorageError | None:
    """The error to show when a fault of disk or file system is behind ``error``, else None.

    Args:
        error: as it was caught; what caused it is looked at too, and error numbers in texts of libraries.
        path: the file to name; None takes the one that the error names.
        unnamed: what to name where the error names none.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, StorageError):
            return seen
        number = _number_of(seen)
        if number in _FAULTS:
            what, remedy = _FAULTS[number]
            name = path or getattr(seen, "filename", None) or _name_in(str(seen))
            return StorageError(f"{name or unnamed}: {what}; {remedy}, then run again: what is finished is kept")
        seen = seen.__cause__ or seen.__context__
    return None


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if found := _NUMBER.search(text):
        return int(found[1])
    # ffmpeg tells words only.
    return next((number for number in _WRITING if os.strerror(number) in text), None)


def _name_in(text: str) -> str | None:
    found = re.search(r"name = '([^']+)'", text)
    return found[1] if found else None


def _write_fault(error: Exception, target: Path, aside: Path) -> StorageError | None:
    """The fault of the disk, if any, for which writing ``aside`` in place of ``target`` failed with ``error``."""
    if isinstance(error, StorageError):
        return None
    if not aside.exists() and not isinstance(error, ClipError):
        # Someone took it or its folder away.
        return storage_error(FileNotFoundError(errno.ENOENT, ""), target.parent)
    number: int | None = None
    seen: BaseException | None = error
    while seen is not None and number not in _WRITING:
        number, seen = _number_of(seen), seen.__cause__ or seen.__context__
    if number not in _WRITING:
        # Some writers do not tell why they failed.
        if not isinstance(error, OSError | RuntimeError | ClipError):
            return None
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if _free(target.parent) < _FULL:
            number = errno.ENOSPC
        elif limit != resource.RLIM_INFINITY and aside.exists() and aside.stat().st_size >= limit:
            number = errno.EFBIG
        else:
            return None
    folder = Path(tempfile.gettempdir())
    elsewhere = number == errno.ENOSPC and _free(target.parent) >= _FULL > _free(folder)
    return storage_error(OSError(number, ""), folder if elsewhere else target)


def _free(folder: Path) -> int:
    """Bytes that can still be written to a folder; all there are where it does not tell."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return _FULL


@contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it into place when the block ends without an error.

    The temporary name keeps the suffix of ``path``, because encoders choose a container by it. On an error the
    temporary file is removed and ``path`` is left as it was. What a killed process left behind is removed.

    Raises:
        StorageError: the disk is full, the folder is read-only or vanished.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(target)
        prefix = f".{target.stem}.{_HERE}-{os.getpid()}-"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise (storage_error(error, target) or error) from error
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
        fault = _write_fault(error, target, aside)
        if fault is not None:
            raise fault from error
        raise
    finally:
        # A disk that fails now must not hide why it failed before.
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _remove_orphans(target: Path) -> None:
    """Remove what processes of this machine that are no more left aside of ``target``."""
    name = re.compile(rf"\.{re.escape(target.stem)}\.{_HERE}-(\d+)-\w{{8}}{re.escape(target.suffix)}")
    with os.scandir(target.parent) as entries:
        found = [(Path(entry.path), match[1]) for entry in entries if (match := name.fullmatch(entry.name))]
    for path, process in found:
        if not Path("/proc", process).exists():
            path.unlink(missing_ok=True)


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
