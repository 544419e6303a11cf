"""Reads torch checkpoints (``.pt``, ``.ckpt``) from untrusted sources entry by entry, without executing code.

``torch.load(weights_only=True)`` rejects Lightning checkpoints, because they contain training settings as objects of
other packages. This reader replaces such objects by stubs without importing their classes. It rejects names that could
execute code: everything in the standard library, torch and numpy that is not needed for tensors and plain values.
"""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occlufacediff.errors import AssetError
from occlufacediff.pickles import DAMAGE, PLAIN, Refused, Stub, refuse_web_page, stub

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


@dataclass(frozen=True)
class Storage:
    """Data of a tensor in the archive: the archive member, the number type and the count."""

    member: str
    dtype: torch.dtype
    count: int


@dataclass(frozen=True)
class Entry:
    """A tensor of a checkpoint whose data have not been read yet, see `read_tensors`.

    Attributes:
        archive: the checkpoint file.
        storage: location of its data; or the tensor itself if the file is in torch's old format.
        offset: offset of its first value in the storage.
        shape: its shape.
        stride: its stride per dimension, in values.
    """

    archive: Path
    storage: Storage | Tensor
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_tensors(entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    """Read the tensors of entries, each contiguous and with its own memory.

    Raises:
        AssetError: an entry is damaged or truncated; the message names it.
    """
    archives = {entry.archive for entry in entries.values() if isinstance(entry.storage, Storage)}
    with ExitStack() as stack:
        files = {path: stack.enter_context(zipfile.ZipFile(path)) for path in archives}
        return {name: _read(entry, name, files.get(entry.archive)) for name, entry in entries.items()}


def _read(entry: Entry, name: str, file: zipfile.ZipFile | None) -> Tensor:
    if isinstance(entry.storage, Tensor):
        return entry.storage.detach().clone().contiguous()
    assert file is not None
    kind = entry.storage.dtype
    try:
        data = file.read(entry.storage.member)
        if len(data) != entry.storage.count * kind.itemsize:
            raise ValueError(f"{len(data)} bytes for {entry.storage.count} values of {kind.itemsize} bytes")
        flat = torch.frombuffer(bytearray(data), dtype=kind) if data else torch.empty(0, dtype=kind)
        return flat.as_strided(entry.shape, entry.stride, entry.offset).clone().contiguous()
    except (zipfile.BadZipFile, OSError, RuntimeError, *DAMAGE) as error:
        raise AssetError(
            f"{entry.archive}: entry '{name}' is damaged or cut short ({error}); download the file again"
        ) from error


class _Skipped(Stub):
    """Placeholder for a function or type that is allowed and not needed."""


class _TensorsAndStubs(pickle.Unpickler):
    """Unpickler that loads tensors as `Entry` and other classes as stubs, and rejects names that could run code."""

    def __init__(self, file: io.BytesIO, archive: Path, root: str) -> None:
        super().__init__(file, encoding="utf-8")
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a global name, or raise `Refused`."""
        # Old pickle protocols use the module names of Python 2, such as "commands" for subprocess.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in _TYPES:
            return name
        if (module, name) in _VALUES:
            return _VALUES[module, name]
        top = module.partition(".")[0]
        if top in ("torch", "numpy", "_codecs") or top in sys.stdlib_module_names:
            raise Refused(f"it asks for {module}.{name}, which is not a tensor; such a file could run code")
        return stub(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage of a tensor, given as ("storage", type, member, device, count)."""
        kind, dtype, member, _, count = pid
        if kind != "storage" or dtype not in _TYPES:
            raise Refused(f"it stores {dtype!r}, which is not a number type of tensors")
        return Storage(f"{self._root}/data/{member}", _TYPES[dtype], int(count))

    def _tensor(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Entry:
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without storage")
        return Entry(self._archive, storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _parameter(entry: Any, *_: Any) -> Any:
    return entry


def _mapping(*pairs: Any) -> dict[Any, Any]:
    return OrderedDict(*pairs)


def _default_mapping(*_: Any) -> dict[Any, Any]:
    return defaultdict(None)


# Names that checkpoints of training frameworks may contain; the functions only create stubs and dictionaries.
_VALUES: dict[tuple[str, str], Any] = {
    **PLAIN,
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _default_mapping,
    ("collections", "Counter"): _Skipped,
    **{("builtins", name): kind for name, kind in {"dict": dict, "list": list, "tuple": tuple, "set": set}.items()},
    **{("builtins", name): kind for name, kind in {"int": int, "float": float, "str": str, "bool": bool}.items()},
    **{("pathlib", name): _Skipped for name in ("Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath")},
    **{("typing", name): _Skipped for name in ("Any", "Union", "Optional", "List", "Dict")},
    **{("torch", name): _Skipped for name in ("device", "Size", "float32", "float16", "bfloat16", "int64")},
    ("torch.torch_version", "TorchVersion"): _Skipped,
    ("argparse", "Namespace"): _Skipped,
    ("_operator", "getitem"): _Skipped,
}


def read_checkpoint(path: Path | str) -> Any:
    """Read a torch checkpoint: dictionaries and plain values, tensors as `Entry`, other objects as stubs.

    Args:
        path: a file of ``torch.save``; the format before torch 1.6 is read with ``torch.load(weights_only=True)``.

    Raises:
        AssetError: no such file, not a checkpoint (such as a web page), truncated, or a pickle that could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    refuse_web_page(path)
    try:
        if not zipfile.is_zipfile(path):
            return _old_format(path)
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1 or any(name.endswith("/constants.pkl") for name in file.namelist()):
                raise AssetError(f"{path}: a zip file, but not a checkpoint of torch.save (needs one data.pkl in it)")
            root = names[0].removesuffix("/data.pkl")
            if f"{root}/byteorder" in file.namelist() and file.read(f"{root}/byteorder") != b"little":
                raise AssetError(f"{path}: its values are big-endian; save it again on a little-endian machine")
            return _TensorsAndStubs(io.BytesIO(file.read(names[0])), path, root).load()
    except Refused as error:
        raise AssetError(f"{path}: refused: {error}") from error
    except (zipfile.BadZipFile, OSError, RuntimeError, pickle.UnpicklingError, *DAMAGE) as error:
        raise AssetError(
            f"{path}: not a readable torch checkpoint, or cut short ({error}); download it again"
        ) from error


def _old_format(path: Path) -> Any:
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise AssetError(f"{path}: cut short; its end is missing, download it again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = " ".join(str(error).split())[:300]
        raise AssetError(f"{path}: refused, or not a torch checkpoint: {first}") from error
    return _as_entries(content, path)


def _as_entries(value: Any, path: Path) -> Any:
    if isinstance(value, Tensor):
        return Entry(path, value, 0, tuple(value.shape), tuple(value.stride()))
    if isinstance(value, dict):
        return {key: _as_entries(entry, path) for key, entry in value.items()}
    return value
