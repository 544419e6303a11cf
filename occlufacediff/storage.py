"""Faults of disks and file systems as errors for the user: full, read-only, gone."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from occlufacediff.errors import UNEXPECTED, ClipError, OccluFaceError

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
    for seen in _behind(error):
        if isinstance(seen, StorageError):
            return seen
        number = _number_of(seen)
        if number in _FAULTS:
            what, remedy = _FAULTS[number]
            name = path or getattr(seen, "filename", None) or _name_in(str(seen))
            return StorageError(f"{name or unnamed}: {what}; {remedy}, then run again: what is finished is kept")
    return None


def as_clip_error(error: Exception) -> ClipError:
    """The failure of the one clip whose processing raised ``error``; other clips may continue.

    Call it in the ``except`` block. A `ClipError` is returned as it is; an unforeseen error gets the reason
    ``unexpected_error`` and the message ``<type>: <text>``.

    Raises:
        OccluFaceError: ``error`` itself if it concerns more than the clip: configuration, assets, storage.
        StorageError: a fault of disk or file system caused ``error``.
    """
    if isinstance(error, ClipError):
        return error
    if isinstance(error, OccluFaceError):
        raise error
    if fault := storage_error(error):
        raise fault from error
    return ClipError(UNEXPECTED, f"{type(error).__name__}: {error}")


@contextmanager
def faults_named(path: Path | str) -> Iterator[None]:
    """Turn an `OSError` of the block into the `StorageError` that names ``path``, if a disk is behind it.

    Raises:
        StorageError: the disk is full, the folder is read-only or vanished.
    """
    try:
        yield
    except OSError as error:
        fault = storage_error(error, path)
        if fault is None:
            raise
        raise fault from error


def _behind(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, and so on; an error may be its own cause (``raise error from error``)."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and not any(following is one for one in seen):
        yield following
        seen.append(following)
        following = following.__cause__ or following.__context__


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


def write_fault(error: Exception, target: Path, aside: Path) -> StorageError | None:
    """The fault of the disk, if any, for which writing ``aside`` in place of ``target`` failed with ``error``."""
    if isinstance(error, StorageError):
        return None
    if not aside.exists() and not isinstance(error, ClipError):
        # Someone took it or its folder away.
        return storage_error(FileNotFoundError(errno.ENOENT, ""), target.parent)
    number = next((number for seen in _behind(error) if (number := _number_of(seen)) in _WRITING), None)
    if number is None:
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
