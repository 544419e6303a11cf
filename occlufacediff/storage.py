"""Errors of disks and file systems for users: full, read-only or missing."""

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
_MOUNT = "check its disk or network mount"
#: Error number -> description and remedy.
_FAULTS = {
    errno.ENOSPC: ("cannot be written: the disk is full", _FREE),
    errno.EDQUOT: ("cannot be written: the disk quota is used up", f"{_FREE} or ask for more"),
    errno.EFBIG: ("cannot be written: the limit on the size of files is reached", "raise the limit (ulimit -f)"),
    errno.EROFS: ("cannot be written: the folder is read-only", _ALLOW),
    errno.EACCES: ("access is denied", "grant access to this user, or choose another folder"),
    errno.EPERM: ("access is denied", "grant access to this user, or choose another folder"),
    errno.ENOENT: ("is missing", _MOUNT),
    errno.ENOTDIR: ("is missing", _MOUNT),
    errno.ESTALE: ("is missing", _MOUNT),
    errno.ENOTCONN: ("its file system does not answer", _MOUNT),
    errno.EIO: ("its disk reports an error", f"{_MOUNT}"),
}
#: Errors that only writing can cause.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
#: System error numbers in messages of libraries: HDF5, safetensors, Python.
_NUMBER = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
#: A disk with less free space than this, in bytes, counts as full.
_FULL = 1 << 20


class StorageError(OccluFaceError):
    """A file could not be written or read: full disk, read-only folder, lost mount."""


def storage_error(
    error: BaseException, path: Path | str | None = None, *, unnamed: Path | str = "a file"
) -> StorageError | None:
    """The error for the user if a disk or file system caused ``error``, else None.

    Args:
        error: the caught error; its causes, and error numbers in messages of libraries, are examined too.
        path: the file to name; None: the one that the error names.
        unnamed: the name if the error names no file.
    """
    for seen in _behind(error):
        if isinstance(seen, StorageError):
            return seen
        number = _number_of(seen)
        if number in _FAULTS:
            what, remedy = _FAULTS[number]
            name = path or getattr(seen, "filename", None) or _name_in(str(seen))
            return StorageError(f"{name or unnamed}: {what}; {remedy}, then run again: finished work is kept")
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
    """Convert an `OSError` of a disk in the block to a `StorageError` that names ``path``.

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
    """An error and its chain of causes; an error can be its own cause (``raise error from error``)."""
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
    # ffmpeg reports text only.
    return next((number for number in _WRITING if os.strerror(number) in text), None)


def _name_in(text: str) -> str | None:
    found = re.search(r"name = '([^']+)'", text)
    return found[1] if found else None


def write_fault(error: Exception, target: Path, aside: Path) -> StorageError | None:
    """The disk error, if any, that made writing ``aside`` for ``target`` fail with ``error``."""
    if isinstance(error, StorageError):
        return None
    if not aside.exists() and not isinstance(error, ClipError):
        # The file or its folder was removed.
        return storage_error(FileNotFoundError(errno.ENOENT, ""), target.parent)
    number = next((number for seen in _behind(error) if (number := _number_of(seen)) in _WRITING), None)
    if number is None:
        # Some writers do not report a reason.
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
    """Free bytes of a folder's disk; assumed to suffice if they are unknown."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return _FULL
