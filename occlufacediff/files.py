"""Files that appear whole or not at all, digests, and HDF5 whose bytes depend only on its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

import h5py


@contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it into place when the block ends without an error.

    The temporary name keeps the suffix of ``path``, because encoders choose a container by it.
    On an error the temporary file is removed and ``path`` is left as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        # mkstemp makes files for the owner alone; give what the process's umask grants.
        umask = os.umask(0)
        os.umask(umask)
        aside.chmod(0o666 & ~umask)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def new_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """Open a new HDF5 file for writing, written aside; equal content written in equal order gives equal bytes."""
    with written_aside(path) as aside, h5py.File(aside, "w", track_order=False, libver="v110") as file:
        yield file


def sha256(path: Path | str) -> str:
    """SHA-256 of a file, as lower-case hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
