"""Safe reading of untrusted pickles: arrays, numbers, text, lists and dictionaries only.

Reading imports and calls nothing that a pickle names. Arrays, sparse matrices and chumpy objects become stubs with the
stored values, from which plain arrays are built afterwards. Any other name is rejected.
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

#: Errors that damaged or malicious bytes can raise.
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
    """A pickle names something that could run code."""


_SPARSE = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix}
_NUMBERS = re.compile(r"[<>=|]?([biufc]\d{1,2}|[SU]\d{1,4})")


class Stub:
    """Replaces an object of another library's class; has its stored values, but not its behaviour."""

    #: ``module.name`` of the replaced class.
    kind = ""
    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Called for mappings; ignored."""

    def append(self, value: Any) -> None:
        """Called for lists; ignored."""

    def extend(self, values: Any) -> None:
        """Called for lists; ignored."""


def stub(kind: str) -> type[Stub]:
    """The stub class of ``module.name``."""
    return type("Stub", (Stub,), {"kind": kind, "__new__": lambda cls, *_, **__: object.__new__(cls)})


class _Kind(Stub):
    """A numpy dtype; its state is (version, byte order, fields, ...)."""

    def number(self) -> np.dtype[Any]:
        """The dtype; only plain numbers and text are allowed."""
        order: Any = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        text = str(self.arguments[0])
        if not _NUMBERS.fullmatch(text) or order not in ("<", ">", "=", "|"):
            raise Refused(f"it holds an array of {text!r}, which is not a number")
        return np.dtype(text).newbyteorder(order)


class _Array(Stub):
    """An array in numpy's format: its state is (version, shape, dtype, Fortran order, bytes)."""

    def build(self) -> NDArray[Any]:
        """Build the array."""
        _, shape, kind, fortran, data = self.state
        return _from_bytes(data, kind, shape, "F" if fortran else "C")


class _Buffer(Stub):
    """An array in the format of pickle protocol 5: (bytes, dtype, shape, order)."""

    def build(self) -> NDArray[Any]:
        """Build the array."""
        return _from_bytes(*self.arguments)


class _Scalar(Stub):
    """A numpy scalar: (dtype, bytes)."""

    def build(self) -> Any:
        """Build the scalar."""
        kind, data = self.arguments
        return _from_bytes(data, kind, (), "C")[()]


def _from_bytes(data: Any, kind: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(kind, _Kind):
        raise ValueError("an array without a type")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, kind.number()).reshape(shape, order="F" if order == "F" else "C").copy()


class _Object(Stub):
    """``object``, the base class in old-style reconstruction; never instantiated."""


def _latin1(text: str, encoding: str) -> bytes:
    """Decoder of bytes in the format of old Python versions."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _remade(kind: Any, *_: Any) -> Stub:
    """``copyreg._reconstructor`` for stubs only."""
    if not (isinstance(kind, type) and issubclass(kind, Stub)):
        raise ValueError("an object of an unknown class")
    return kind()


#: Replacements of names in a pickle. None of them calls numpy.
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
    """Unpickler of arrays and plain values; scipy's sparse matrices and chumpy objects become stubs."""

    def find_class(self, module: str, name: str) -> Any:
        """The replacement of a name; other names are rejected."""
        if (module, name) in PLAIN:
            return PLAIN[module, name]
        top = module.partition(".")[0]
        if (module.startswith("scipy.sparse") and name in _SPARSE) or top == "chumpy":
            return stub(f"{top}.{name}")
        raise Refused(f"it asks for {module}.{name}, which is not an array; such a file could run code")


def read_bytes(path: Path | str) -> bytes:
    """Read a file; raises AssetError if it is missing or a web page."""
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    refuse_web_page(path)
    return path.read_bytes()


def refuse_web_page(path: Path) -> None:
    """Raise AssetError if a file is a web page, the usual result of a download without a login."""
    with path.open("rb") as file:
        if file.read(256).lstrip()[:1] == b"<":
            raise AssetError(f"{path}: a web page, not a model; the download was not logged in. Download it again")


def read_pickle(path: Path | str) -> Any:
    """Read the plain value in a pickle: arrays, numbers, text, and lists, tuples and dictionaries of them.

    Sparse matrices and chumpy objects become plain arrays.

    Raises:
        AssetError: the file is missing, is not a pickle (such as a login page), is incomplete, or names anything but
            arrays.
    """
    data = read_bytes(path)
    try:
        return plain(ArraysOnly(io.BytesIO(data), encoding="latin1").load(), {})
    except Refused as error:
        raise AssetError(f"{path}: rejected: {error}") from error
    except (pickle.UnpicklingError, *DAMAGE) as error:
        raise AssetError(f"{path}: not a readable pickle of arrays, or incomplete ({error})") from error


def read_arrays(path: Path | str) -> dict[str, Any]:
    """Read the dictionary in a pickle; raises AssetError as `read_pickle`, or if it is not a dictionary."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise AssetError(f"{path}: has a {type(content).__name__}, needs a dictionary of arrays")
    return {str(key): value for key, value in content.items()}


def plain(value: Any, done: dict[int, Any]) -> Any:
    """Replace stubs by arrays; ``done`` has the built values by identity, because a pickle can refer to one twice."""
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
        # Keep the value too, so that its id is not reused.
        done[id(value)] = (built, value)
    return done[id(value)][0]


def _unwrapped(value: Stub, done: dict[int, Any]) -> NDArray[Any]:
    """Convert a sparse matrix or a chumpy object to a plain array."""
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
    raise ValueError(f"an object of kind {value.kind or type(value).__name__} has no array")
