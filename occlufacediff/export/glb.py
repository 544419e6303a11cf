"""Binary glTF files (.glb): one JSON document and one buffer that its accessors describe.

Specification: glTF 2.0, sections 3.6 (accessors) and 4.4 (the binary container).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.files import written_aside

#: Number types of accessors.
COMPONENTS = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}
#: Kinds of accessors by the shape of an element.
KINDS = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
#: Uses of a buffer view.
VERTICES, TRIANGLES = 34962, 34963
_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942


class GlbBuilder:
    """Collects arrays in one buffer; the caller fills the rest of `document`.

    Attributes:
        document: the JSON document of the file.
    """

    def __init__(self, generator: str) -> None:
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": generator},
            "accessors": [],
            "bufferViews": [],
        }
        self._parts: list[bytes] = []
        self._length = 0

    def array(
        self, values: NDArray[Any], use: int | None = None, *, limits: bool = False, normalised: bool = False
    ) -> int:
        """Add an array, one element per row.

        Args:
            values: (N,), (N, 2), (N, 3), (N, 4) or (N, 4, 4) of a type in `COMPONENTS`; matrices by columns.
            use: `VERTICES`, `TRIANGLES` or None.
            limits: store the smallest and largest value of each component.
            normalised: integers stand for numbers from 0 to 1.

        Returns:
            number of the accessor.
        """
        accessor = self._accessor(values, limits)
        accessor["bufferView"] = self._view(values, use)
        if normalised:
            accessor["normalized"] = True
        return self._add(accessor)

    def sparse(self, values: NDArray[np.float32]) -> int:
        """Add an array (N, 3) of which only the rows that are not zero are stored; at least one row is.

        Returns:
            number of the accessor.
        """
        rows = np.flatnonzero(values.any(axis=1))
        rows = rows if len(rows) else np.zeros(1, dtype=np.intp)
        indices = rows.astype(np.uint16 if len(values) <= 1 << 16 else np.uint32)
        accessor = self._accessor(values, limits=True)
        accessor["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": self._view(indices), "componentType": COMPONENTS[indices.dtype.name]},
            "values": {"bufferView": self._view(values[rows])},
        }
        return self._add(accessor)

    def to_bytes(self) -> bytes:
        """The file."""
        document = self.document | {"buffers": [{"byteLength": self._length}]}
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), _JSON) + text
        chunks += struct.pack("<II", self._length, _BINARY) + b"".join(self._parts)
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            StorageError: see `files.written_aside`.
        """
        with written_aside(path) as aside:
            aside.write_bytes(self.to_bytes())

    def _accessor(self, values: NDArray[Any], limits: bool) -> dict[str, Any]:
        accessor: dict[str, Any] = {
            "componentType": COMPONENTS[values.dtype.name],
            "count": len(values),
            "type": KINDS[values.shape[1:]],
        }
        if limits:
            accessor["min"] = np.atleast_1d(values.min(axis=0)).tolist()
            accessor["max"] = np.atleast_1d(values.max(axis=0)).tolist()
        return accessor

    def _add(self, accessor: dict[str, Any]) -> int:
        self.document["accessors"].append(accessor)
        return len(self.document["accessors"]) - 1

    def _view(self, values: NDArray[Any], use: int | None = None) -> int:
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        view = {"buffer": 0, "byteOffset": self._length, "byteLength": len(data)}
        if use is not None:
            view["target"] = use
        # Offsets are multiples of the largest number type, 4 bytes.
        padded = data + bytes(-len(data) % 4)
        self._parts.append(padded)
        self._length += len(padded)
        self.document["bufferViews"].append(view)
        return len(self.document["bufferViews"]) - 1
