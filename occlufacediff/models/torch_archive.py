"""Reads the tensors of torch checkpoints (``.pt``, ``.ckpt``, ``.bin``) from untrusted sources, entry by entry."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from occlufacediff.errors import AssetError
from occlufacediff.models.torch_entries import Entry
from occlufacediff.pickles import DAMAGE

_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_tensors(entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    """Read the tensors of entries (`torch_entries.read_checkpoint`), each contiguous and with its own memory.

    Raises:
        AssetError: an entry is damaged or truncated; the message names it.
    """
    archives = {entry.archive for entry in entries.values() if entry.storage.start is None}
    with ExitStack() as stack:
        files = {path: stack.enter_context(zipfile.ZipFile(path)) for path in archives}
        return {name: _read(entry, name, files) for name, entry in entries.items()}


def _read(entry: Entry, name: str, files: Mapping[Path, zipfile.ZipFile]) -> Tensor:
    storage = entry.storage
    kind = _TYPES[storage.kind]
    try:
        if storage.start is None:
            data = files[entry.archive].read(storage.member)
        else:
            with entry.archive.open("rb") as file:
                file.seek(storage.start)
                data = file.read(storage.size)
        if len(data) != storage.size:
            raise ValueError(f"{len(data)} bytes for {storage.count} values of {kind.itemsize} bytes")
        flat = torch.frombuffer(bytearray(data), dtype=kind) if data else torch.empty(0, dtype=kind)
        return flat.as_strided(entry.shape, entry.stride, entry.offset).clone().contiguous()
    except (zipfile.BadZipFile, OSError, RuntimeError, *DAMAGE) as error:
        raise AssetError(
            f"{entry.archive}: entry '{name}' is damaged or cut short ({error}); download the file again"
        ) from error
