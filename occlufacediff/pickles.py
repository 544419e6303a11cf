"""Foreign pickles as plain values: arrays, numbers, text, lists and dictionaries, and nothing that could run code.

While a pickle is read, nothing that it names is imported or called: arrays, sparse matrices and chumpy's wrappers
become stubs that only keep what the file says, and are built by us afterwards. Any other name is refused.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from occlufacediff.errors import AssetError

#: What damaged or hostile bytes can raise while they are read.
DAMAGE = (
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
)


class Refused(pickle.UnpicklingError):
    """A pickle names something from which code could run."""


_SPARSE = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix}
_NUMBERS = re.compile(r"[<>=|]?([biufc]\d{1,2}|[SU]\d{1,4})")


class Stub:
    """Stands for an object of a foreign class: keeps what the pickle says of it and has none of its behaviour."""

    #: ``module.name`` of what it stands for.
    kind = ""
    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """A foreign mapping is filled."""

    def append(self, value: Any) -> None:
        """A foreign list is filled."""

    def extend(self, values: Any) -> None:
        """A foreign list is filled."""


def stub(kind: str) -> type[Stub]:
    """The stub class of ``module.name``."""
    return type("Stub", (Stub,), {"kind": kind, "__new__": lambda cls, *_, **__: object.__new__(cls)})


class _Kind(Stub):
    """A numpy type; its state is (version, byte order, fields, ...)."""

    def number(self) -> np.dtype[Any]:
        """The type, if it is one of plain numbers or text."""
        order: Any = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        text = str(self.arguments[0])
        if not _NUMBERS.fullmatch(text) or order not in ("<", ">", "=", "|"):
            raise Refused(f"it holds an array of {text!r}, which is no number")
        return np.dtype(text).newbyteorder(order)


class _Array(Stub):
    """An array as numpy writes it: its state is (version, shape, type, Fortran order, bytes)."""

    def build(self) -> NDArray[Any]:
        """The array itself."""
        _, shape, kind, fortran, data = self.state
        return _from_bytes(data, kind, shape, "F" if fortran else "C")


class _Buffer(Stub):
    """An array as protocol 5 writes it: (bytes, type, shape, order)."""

    def build(self) -> NDArray[Any]:
        """The array itself."""
        return _from_bytes(*self.arguments)


class _Scalar(Stub):
    """A single number of numpy's: (type, bytes)."""

    def build(self) -> Any:
        """The number."""
        kind, data = self.arguments
        return _from_bytes(data, kind, (), "C")[()]


def _from_bytes(data: Any, kind: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(kind, _Kind):
        raise ValueError("an array without a type")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, kind.number()).reshape(shape, order="F" if order == "F" else "C").copy()


class _Object(Stub):
    """``object``, the base that old-style reconstruction names; never made itself."""


def _latin1(text: str, encoding: str) -> bytes:
    """How bytes are written for old Pythons."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _remade(kind: Any, *_: Any) -> Stub:
    """What ``copyreg._reconstructor`` does, for stubs only."""
    if not (isinstance(kind, type) and issubclass(kind, Stub)):
        raise ValueError("an object of no known class")
    return kind()


#: What stands for the names of plain arrays and values in a pickle. None of these calls into numpy.
PLAIN: dict[tuple[str, str], Any] = {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", lambda *_: _Array()),
        ("multiarray", "scalar", _Scalar),
        ("numeric", "_frombuffer", _Buffer),
    )
} | {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("copyreg", "_reconstructor"): _remade,
    ("copy_reg", "_reconstructor"): _remade,
    ("builtins", "object"): _Object,
    ("__builtin__", "object"): _Object,
    ("_codecs", "encode"): _latin1,
}


class ArraysOnly(pickle.Unpickler):
    """Unpickler of arrays and plain values; scipy's sparse matrices and chumpy's wrappers become stubs."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name, or a refusal."""
        if (module, name) in PLAIN:
            return PLAIN[module, name]
        top = module.partition(".")[0]
        if (module.startswith("scipy.sparse") and name in _SPARSE) or top == "chumpy":
            return stub(f"{top}.{name}")
        raise Refused(f"it asks for {module}.{name}, which is no array; such a file could run code")


def read_bytes(path: Path | str) -> bytes:
    """A file's bytes; AssetError where there is none, or a web page that was saved under its name."""
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    refuse_web_page(path)
    return path.read_bytes()


def refuse_web_page(path: Path) -> None:
    """AssetError where a file is a web page, as downloads without a log-in leave it."""
    with path.open("rb") as file:
        if file.read(256).lstrip()[:1] == b"<":
            raise AssetError(f"{path}: a web page, not a model; the download was not logged in. Download it again")


def read_pickle(path: Path | str) -> Any:
    """The plain value in a pickle: arrays, numbers, text, and lists, tuples and dictionaries of them.

    Sparse and chumpy-wrapped arrays come as plain arrays.

    Raises:
        AssetError: no such file, no pickle (such as a log-in page saved under its name), cut short, or it names
            anything but arrays.
    """
    data = read_bytes(path)
    try:
        return plain(ArraysOnly(io.BytesIO(data), encoding="latin1").load(), {})
    except Refused as error:
        raise AssetError(f"{path}: refused: {error}") from error
    except (pickle.UnpicklingError, *DAMAGE) as error:
        raise AssetError(f"{path}: not a readable pickle of arrays, or cut short ({error})") from error


def read_arrays(path: Path | str) -> dict[str, Any]:
    """The dictionary in a pickle; raises AssetError as `read_pickle`, and where it holds something else."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise AssetError(f"{path}: holds a {type(content).__name__}, needs a dictionary of arrays")
    return {str(key): value for key, value in content.items()}


def plain(value: Any, done: dict[int, Any]) -> Any:
    """A value with its stubs built; ``done`` keeps what was built, by identity, as a pickle may name it twice."""
    if not isinstance(value, Stub | dict | list | tuple):
        return value
    if id(value) not in done:
        if isinstance(value, dict):
            built: Any = {plain(key, done): plain(entry, done) for key, entry in value.items()}
        elif isinstance(value, list | tuple):
            built = type(value)(plain(entry, done) for entry in value)
        elif isinstance(value, _Array | _Buffer | _Scalar):
            built = value.build()
        else:
            built = _unwrapped(value, done)
        # The value is kept beside it, so that its identity is not given to another.
        done[id(value)] = (built, value)
    return done[id(value)][0]


def _unwrapped(value: Stub, done: dict[int, Any]) -> NDArray[Any]:
    """The plain array of a sparse matrix or of a chumpy object."""
    parts = value.state if isinstance(value.state, tuple) else (value.state,)
    state = {key: plain(entry, done) for part in parts if isinstance(part, dict) for key, entry in part.items()}
    top, _, name = value.kind.partition(".")
    if top == "scipy":
        shape = state["_shape"] if "_shape" in state else state["shape"]
        array: NDArray[Any] = _SPARSE[name]((state["data"], state["indices"], state["indptr"]), shape=shape).toarray()
        return array
    if "x" in state:
        return np.asarray(state["x"])
    if {"a", "idxs", "preferred_shape"} <= set(state):
        whole: NDArray[Any] = np.asarray(state["a"])
        return whole.ravel()[state["idxs"]].reshape(state["preferred_shape"])
    raise ValueError(f"an object of kind {value.kind or type(value).__name__} holds no array")
