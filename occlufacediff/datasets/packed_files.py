"""Packed files: the arrays of all clips of a subject, one after the other, in an HDF5 file that can be mapped.

A packed file has ``clip`` (N,) names, ``first`` (N + 1,) frame numbers at which the clips begin, and arrays whose rows
are the clips' rows in this order. An array with k rows per frame has k * ``first[-1]`` rows; ``shape`` has one row per
clip. Arrays are contiguous and not compressed: any part of them is a part of the file. The attribute ``sha256`` of an
array is the digest of its content.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from occlufacediff import __version__
from occlufacediff.errors import AssetError
from occlufacediff.files import file_version, new_hdf5

#: Arrays begin at multiples of this many bytes, so that their values are aligned in memory.
ALIGNMENT = 64


@dataclass(frozen=True)
class Column:
    """An array of a packed file.

    Attributes:
        name: of the array.
        width: shape of a row.
        dtype: of the values.
        rate: rows per frame; 0: one row per clip.
    """

    name: str
    width: tuple[int, ...]
    dtype: DTypeLike = np.float32
    rate: int = 1


def write_packed(
    path: Path,
    clips: Mapping[str, int],
    columns: Sequence[Column],
    read: Callable[[str], Mapping[str, NDArray[Any]]],
    attributes: Mapping[str, Any],
) -> None:
    """Write a packed file; one clip at a time is in memory. The bytes depend on the arguments only.

    Args:
        path: of the file.
        clips: number of frames of each clip, in the order of the file.
        columns: the arrays.
        read: gives the arrays of a clip by name.
        attributes: of the file; the program's version is added.

    Raises:
        AssetError: an array of a clip has another shape than its column.
        StorageError: the file cannot be written.
    """
    first = np.concatenate([[0], np.cumsum(list(clips.values()), dtype=np.int64)]).astype(np.int64)
    with new_hdf5(path, alignment=ALIGNMENT) as file:
        for name, value in {**attributes, "version": __version__}.items():
            file.attrs[name] = value
        file["clip"] = np.array([clip.encode() for clip in clips], dtype=np.bytes_)
        file["first"] = first
        arrays, digests = {}, {column.name: hashlib.sha256() for column in columns}
        for column in columns:
            rows = column.rate * int(first[-1]) if column.rate else len(clips)
            arrays[column.name] = file.create_dataset(column.name, (rows, *column.width), column.dtype)
        for number, (clip, frames) in enumerate(clips.items()):
            values = read(clip)
            for column in columns:
                begin, rows = (column.rate * first[number], column.rate * frames) if column.rate else (number, 1)
                value = np.ascontiguousarray(values[column.name], column.dtype)
                if column.rate == 0:
                    value = value[None]
                if value.shape != (rows, *column.width):
                    raise AssetError(
                        f"{path}: {clip}: {column.name} has the shape {value.shape}, needs {(rows, *column.width)} "
                        "as the subject's other clips; run the stage that made it again"
                    )
                arrays[column.name][begin : begin + rows] = value
                digests[column.name].update(value.data)
        for name, digest in digests.items():
            arrays[name].attrs["sha256"] = digest.hexdigest()


class PackedFile:
    """Clips of a packed file, as views of the mapped file.

    The constructor reads names and places and closes the file again. `open` maps the arrays; it must be called in the
    process that reads them.

    Raises:
        AssetError: the file is missing or is not a packed file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = file_version(path)
        try:
            with h5py.File(path, "r") as file:
                self.attributes: dict[str, Any] = dict(file.attrs)
                self.places = {name.decode(): number for number, name in enumerate(file["clip"][()])}
                self.first: NDArray[np.int64] = file["first"][()]
                self.digests: dict[str, str] = {
                    name: str(file[name].attrs["sha256"]) for name in sorted(file) if "sha256" in file[name].attrs
                }
                self._layout = {
                    name: (file[name].id.get_offset() or 0, file[name].shape, file[name].dtype) for name in self.digests
                }
        except FileNotFoundError as error:
            raise AssetError(f"{path}: does not exist; run the stage that packs the training data") from error
        except (OSError, KeyError) as error:
            raise AssetError(f"{path}: not a packed file ({error}); delete it and pack the data again") from error

    def __contains__(self, name: str) -> bool:
        return name in self._layout

    def open(self) -> MappedFile:
        """Map the file into this process.

        Raises:
            AssetError: the file is missing, or is not the one that the constructor read.
        """
        if file_version(self.path) != self._version:
            raise AssetError(
                f"{self.path}: was replaced or deleted while it was used; start the training again, it resumes if its "
                "data are the same"
            )
        return MappedFile(self.path, self._layout)

    def frames_of(self, clip: str) -> int:
        """Number of frames of a clip that is in the file."""
        number = self.places[clip]
        return int(self.first[number + 1] - self.first[number])

    def rows(self, clip: str, rate: int) -> slice:
        """Rows of a clip in an array with ``rate`` rows per frame, or its one row if ``rate`` is 0.

        Raises:
            AssetError: there is no such clip in the file.
        """
        if clip not in self.places:
            raise AssetError(f"{self.path}: clip {clip} is missing, which the manifest lists as usable; pack it again")
        number = self.places[clip]
        if rate == 0:
            return slice(number, number + 1)
        return slice(rate * int(self.first[number]), rate * int(self.first[number + 1]))


class MappedFile:
    """Read-only arrays of a packed file, by name; nothing is read before it is used.

    `arrays` are mapped: their pages are read when they are used. `read` copies rows with system calls instead. It takes
    less processor time, most of all if the rows are not in the system's cache.

    Raises:
        AssetError: the file cannot be opened.
    """

    def __init__(self, path: Path, layout: Mapping[str, tuple[int, tuple[int, ...], np.dtype[Any]]]) -> None:
        self.path = path
        self._layout = layout
        self._map: mmap.mmap | None = None
        # Offset, and bytes of a row.
        self._places = {
            name: (offset, int(np.prod(shape[1:])) * dtype.itemsize) for name, (offset, shape, dtype) in layout.items()
        }
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise AssetError(f"{path}: cannot be opened ({error}); pack the training data again") from error
        weakref.finalize(self, os.close, self._file)

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The mapped arrays by name.

        Raises:
            AssetError: the file cannot be mapped, or is cut off.
        """
        if not any(np.prod(shape) for _, shape, _ in self._layout.values()):
            return {name: np.empty(shape, dtype) for name, (_, shape, dtype) in self._layout.items()}
        try:
            self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
            return {
                name: np.frombuffer(self._map, dtype, int(np.prod(shape)), offset).reshape(shape)
                for name, (offset, shape, dtype) in self._layout.items()
            }
        except (OSError, ValueError) as error:
            raise AssetError(f"{self.path}: cannot be mapped ({error}); pack the training data again") from error

    def row(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Type of the values, and shape of a row, of an array."""
        _, shape, dtype = self._layout[name]
        return dtype, shape[1:]

    def read_ahead(self, name: str, rows: slice) -> None:
        """Ask the system to read rows of an array from the disk in one go; does not wait for them."""
        offset, width = self._places[name]
        size = (rows.stop - rows.start) * width
        # A size of 0 would mean the rest of the file.
        if size:
            os.posix_fadvise(self._file, offset + rows.start * width, size, os.POSIX_FADV_WILLNEED)

    def size(self, name: str, rows: slice) -> int:
        """Bytes of rows of an array."""
        return (rows.stop - rows.start) * self._places[name][1]

    def read(self, name: str, begin: int, into: NDArray[np.uint8]) -> None:
        """Copy rows of an array, from row ``begin`` on, until ``into`` is full.

        Raises:
            AssetError: the file is shorter than its arrays, or its disk reports an error.
        """
        offset, width = self._places[name]
        try:
            count = os.preadv(self._file, [into.data], offset + begin * width)
        except OSError as error:
            raise AssetError(f"{self.path}: cannot be read ({error}); check its disk or network mount") from error
        if count != len(into):
            raise AssetError(f"{self.path}: is cut off; pack the training data again")

    def forget(self) -> None:
        """Take the pages read so far out of this process' memory; the system keeps them in its cache if it can.

        Arrays stay valid: their pages are read again when they are used.
        """
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
