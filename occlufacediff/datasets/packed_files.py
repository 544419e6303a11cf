"""Packed files: the arrays of all clips of a subject, one after the other, in an HDF5 file that can be mapped.

A packed file has ``clip`` (N,) names, ``first`` (N + 1,) frame numbers at which the clips begin, and tables whose rows
are the clips' rows in this order. A table with k rows per frame has k * ``first[-1]`` rows; ``shape`` has one row per
clip. A table is an HDF5 dataset: a plain one holds the column of its name, one of a compound type several columns, so
that a frame's small values lie together and are read together. Tables are contiguous and not compressed: any part of
them is a part of the file. The attribute ``sha256:<column>`` of a table is the digest of the column's content.
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
#: Name of the attribute that holds a column's digest, without the column's name.
_DIGEST = "sha256:"


@dataclass(frozen=True)
class Column:
    """An array of a packed file.

    Attributes:
        name: of the array.
        width: shape of a row.
        dtype: of the values.
        rate: rows per frame; 0: one row per clip.
        table: the table that it shares with other columns of this rate; empty: a table of its own.
    """

    name: str
    width: tuple[int, ...]
    dtype: DTypeLike = np.float32
    rate: int = 1
    table: str = ""


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
    tables: dict[str, list[Column]] = {}
    for column in columns:
        tables.setdefault(column.table or column.name, []).append(column)
    with new_hdf5(path, alignment=ALIGNMENT) as file:
        for name, value in {**attributes, "version": __version__}.items():
            file.attrs[name] = value
        file["clip"] = np.array([clip.encode() for clip in clips], dtype=np.bytes_)
        file["first"] = first
        digests = {column.name: hashlib.sha256() for column in columns}
        for name, parts in tables.items():
            rows = parts[0].rate * int(first[-1]) if parts[0].rate else len(clips)
            if parts[0].table:
                dtype = np.dtype([(part.name, part.dtype, part.width) for part in parts], align=True)
                file.create_dataset(name, (rows,), dtype)
            else:
                file.create_dataset(name, (rows, *parts[0].width), parts[0].dtype)
        for number, (clip, frames) in enumerate(clips.items()):
            values = read(clip)
            for name, parts in tables.items():
                rate = parts[0].rate
                begin, rows = (rate * first[number], rate * frames) if rate else (number, 1)
                packed = np.zeros(rows, file[name].dtype) if parts[0].table else None
                for column in parts:
                    value = np.ascontiguousarray(values[column.name], column.dtype)
                    value = value if rate else value[None]
                    if value.shape != (rows, *column.width):
                        raise AssetError(
                            f"{path}: {clip}: {column.name} has the shape {value.shape}, needs "
                            f"{(rows, *column.width)} as the subject's other clips; run the stage that made it again"
                        )
                    digests[column.name].update(value.data)
                    if packed is None:
                        file[name][begin : begin + rows] = value
                    else:
                        packed[column.name] = value
                if packed is not None:
                    file[name][begin : begin + rows] = packed
        for column in columns:
            file[column.table or column.name].attrs[_DIGEST + column.name] = digests[column.name].hexdigest()


@dataclass(frozen=True)
class _Table:
    """A table of a packed file.

    Attributes:
        name: of the table.
        offset: in the file, bytes.
        rows: number of rows.
        width: shape of a row; empty for a table of several columns.
        dtype: of the values; compound for a table of several columns.
        size: bytes of a row.
    """

    name: str
    offset: int
    rows: int
    width: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int

    @staticmethod
    def of(name: str, dataset: h5py.Dataset) -> _Table:
        size = int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
        offset = dataset.id.get_offset() or 0
        return _Table(name, offset, dataset.shape[0], dataset.shape[1:], dataset.dtype, size)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.dtype.names or (self.name,)

    def values(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The columns of rows, given as flat bytes; arrays (rows, ...) without a copy."""
        typed = rows.view(self.dtype)
        if self.dtype.names is not None:
            return {name: typed[name] for name in self.dtype.names}
        return {self.name: typed.reshape(-1, *self.width)}


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
                self._tables = {name: _Table.of(name, file[name]) for name in sorted(set(file) - {"clip", "first"})}
                self.digests = {
                    column: str(file[name].attrs[_DIGEST + column])
                    for name, table in self._tables.items()
                    for column in table.columns
                }
        except FileNotFoundError as error:
            raise AssetError(f"{path}: does not exist; run the stage that packs the training data") from error
        except (OSError, KeyError) as error:
            raise AssetError(f"{path}: not a packed file ({error}); delete it and pack the data again") from error

    def __contains__(self, name: str) -> bool:
        return name in self.digests

    def table_of(self, column: str) -> str:
        """Name of the table that holds a column of the file."""
        return next(name for name, table in self._tables.items() if column in table.columns)

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
        return MappedFile(self.path, self._tables)

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

    def __init__(self, path: Path, tables: Mapping[str, _Table]) -> None:
        self.path = path
        self._tables = tables
        self._map: mmap.mmap | None = None
        self._kept: dict[str, dict[str, NDArray[Any]]] = {}
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
        try:
            content = np.empty(0, np.uint8)
            if any(table.rows * table.size for table in self._tables.values()):
                self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
                content = np.frombuffer(self._map, np.uint8)
            values: dict[str, NDArray[Any]] = {}
            for table in self._tables.values():
                values |= table.values(content[table.offset : table.offset + table.rows * table.size])
            return values
        except (OSError, ValueError) as error:
            raise AssetError(f"{self.path}: cannot be mapped ({error}); pack the training data again") from error

    def read_ahead(self, table: str, rows: slice) -> None:
        """Ask the system to read rows of a table from the disk in one go; does not wait for them."""
        place = self._tables[table]
        size = (rows.stop - rows.start) * place.size
        # A size of 0 would mean the rest of the file.
        if size:
            os.posix_fadvise(self._file, place.offset + rows.start * place.size, size, os.POSIX_FADV_WILLNEED)

    def size(self, table: str, rows: slice) -> int:
        """Bytes of rows of a table."""
        return (rows.stop - rows.start) * self._tables[table].size

    def read(self, table: str, rows: slice, into: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Copy rows of a table into ``into``, which has their size. Returns the columns, which are views of it.

        Raises:
            AssetError: the file is shorter than its tables, or its disk reports an error.
        """
        place = self._tables[table]
        try:
            count = os.preadv(self._file, [into.data], place.offset + rows.start * place.size)
        except OSError as error:
            raise AssetError(f"{self.path}: cannot be read ({error}); check its disk or network mount") from error
        if count != len(into):
            raise AssetError(f"{self.path}: is cut off; pack the training data again")
        return place.values(into)

    def whole(self, table: str) -> dict[str, NDArray[Any]]:
        """The columns of a small table, which is read at the first call and stays in memory.

        Raises:
            AssetError: as `read`.
        """
        if table not in self._kept:
            rows = slice(0, self._tables[table].rows)
            self._kept[table] = self.read(table, rows, np.empty(self.size(table, rows), np.uint8))
        return self._kept[table]

    def forget(self) -> None:
        """Take the pages read so far out of this process' memory; the system keeps them in its cache if it can.

        Arrays stay valid: their pages are read again when they are used.
        """
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
