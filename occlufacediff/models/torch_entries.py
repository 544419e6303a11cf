"""Reads what a torch checkpoint (``.pt``, ``.ckpt``, ``.bin``) contains, without torch and without executing code.

``torch.load(weights_only=True)`` rejects Lightning checkpoints, because they contain training settings as objects of
other packages. This reader replaces such objects by stubs without importing their classes. It rejects names that could
execute code: everything in the standard library, torch and numpy that is not needed for tensors and plain values.

Shapes are known without reading data; `torch_archive.read_tensors` reads them.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from occlufacediff.errors import AssetError
from occlufacediff.pickles import DAMAGE, PLAIN, Refused, Stub, refuse_web_page, stub

#: Bytes of a value by the storage's type.
BYTES = {
    "FloatStorage": 4,
    "DoubleStorage": 8,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
#: First value of a file in the format before torch 1.6.
_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass
class Storage:
    """Where the data of a tensor are in the file.

    Attributes:
        member: member of the archive; in the format before torch 1.6, the key of the storage.
        kind: type of its values, a key of `BYTES`.
        count: number of values.
        start: byte of the file at which the data begin, in the format before torch 1.6.
    """

    member: str
    kind: str
    count: int
    start: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return self.count * BYTES[self.kind]


@dataclass(frozen=True)
class Entry:
    """A tensor of a checkpoint whose data have not been read yet.

    Attributes:
        archive: the checkpoint file.
        storage: location of its data.
        offset: offset of its first value in the storage.
        shape: its shape.
        stride: its stride per dimension, in values.
    """

    archive: Path
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Skipped(Stub):
    """Placeholder for a function or type that is allowed and not needed."""


class _TensorsAndStubs(pickle.Unpickler):
    """Unpickler that loads tensors as `Entry` and other classes as stubs, and rejects names that could run code."""

    def __init__(self, file: IO[bytes], archive: Path, prefix: str = "") -> None:
        super().__init__(file, encoding="utf-8")
        self._archive, self._prefix = archive, prefix
        #: Storages by key.
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a global name, or raise `Refused`."""
        # Old pickle protocols use the module names of Python 2, such as "commands" for subprocess.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in BYTES:
            return name
        if (module, name) in _VALUES:
            return _VALUES[module, name]
        top = module.partition(".")[0]
        if top in ("torch", "numpy", "_codecs") or top in sys.stdlib_module_names:
            raise Refused(f"it asks for {module}.{name}, which is not a tensor; such a file could run code")
        return stub(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage of a tensor, given as ("storage", type, key, device, count), in old files with a view of it."""
        kind, values, key, _, count, *view = pid
        if kind != "storage" or values not in BYTES:
            raise Refused(f"it stores {values!r}, which is not a number type of tensors")
        if any(part is not None for part in view):
            raise ValueError("a view of a storage, as only torch before 0.4 wrote it")
        return self.storages.setdefault(key, Storage(f"{self._prefix}{key}", values, int(count)))

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

    The file must have all data of its tensors; their values are not read.

    Args:
        path: a file of ``torch.save``, also in the format before torch 1.6.

    Raises:
        AssetError: no such file, not a checkpoint (such as a web page), truncated, or a pickle that could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    try:
        refuse_web_page(path)
        if zipfile.is_zipfile(path):
            return _archive(path)
        with path.open("rb") as file:
            if file.peek(4)[:4] == b"PK\x03\x04":
                raise AssetError(f"{path}: cut short; its end is missing, download it again")
            return _old_format(file, path)
    except Refused as error:
        raise AssetError(f"{path}: refused: {error}") from error
    except (zipfile.BadZipFile, OSError, RuntimeError, pickle.UnpicklingError, struct.error, *DAMAGE) as error:
        raise AssetError(
            f"{path}: not a readable torch checkpoint, or cut short ({error}); download it again"
        ) from error


def _archive(path: Path) -> Any:
    """The content of a zip file of torch 1.6 or later."""
    with zipfile.ZipFile(path) as file:
        members = {member.filename: member.file_size for member in file.infolist()}
        names = [name for name in members if name.endswith("/data.pkl")]
        if len(names) != 1 or any(name.endswith("/constants.pkl") for name in members):
            raise AssetError(f"{path}: a zip file, but not a checkpoint of torch.save (needs one data.pkl in it)")
        root = names[0].removesuffix("/data.pkl")
        if f"{root}/byteorder" in members and file.read(f"{root}/byteorder") != b"little":
            raise AssetError(f"{path}: its values are big-endian; save it again on a little-endian machine")
        reader = _TensorsAndStubs(io.BytesIO(file.read(names[0])), path, f"{root}/data/")
        content = reader.load()
    for storage in reader.storages.values():
        if members.get(storage.member) != storage.size:
            raise ValueError(f"{storage.member} has {members.get(storage.member, 0)} bytes, needs {storage.size}")
    return content


def _old_format(file: io.BufferedReader, path: Path) -> Any:
    """The content of a file from before torch 1.6: five pickles, then the storages in the order of the last one."""
    if _TensorsAndStubs(file, path).load() != _MAGIC:
        raise ValueError("it does not begin as a file of torch.save")
    _TensorsAndStubs(file, path).load()
    machine = _TensorsAndStubs(file, path).load()
    if not machine["little_endian"]:
        raise ValueError("its values are big-endian")
    reader = _TensorsAndStubs(file, path)
    content = reader.load()
    for key in _TensorsAndStubs(file, path).load():
        storage = reader.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        storage.start = file.tell()
        if count != storage.count:
            raise ValueError(f"{count} values, needs {storage.count}")
        file.seek(storage.size, io.SEEK_CUR)
    if file.tell() > path.stat().st_size or any(storage.start is None for storage in reader.storages.values()):
        raise ValueError("its end is missing")
    return content
