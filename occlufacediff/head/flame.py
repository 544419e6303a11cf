"""FLAME from its published files (2020 and 2023), read by an unpickler that admits arrays and nothing else."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset

N_SHAPE, N_EXP = 300, 100

_SPARSE = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix}
# Spelt by name, because a pickle names them so; each builds an array or a plain object and runs nothing else.
_NUMPY = {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
} | {("numpy", "ndarray"), ("numpy", "dtype")}
_PLAIN = {("copyreg", "_reconstructor"), ("builtins", "object"), ("_codecs", "encode")}


class _Stub:
    """Stands for an object of a foreign class: keeps its state and has none of its behaviour."""

    kind = ""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        self.state = {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}


class _ArraysOnly(pickle.Unpickler):
    """Unpickler of numpy arrays; scipy's sparse matrices and chumpy's wrappers become stubs."""

    def find_class(self, module: str, name: str) -> Any:
        """The few callables of arrays, a stub, or a refusal."""
        if (module, name) in _NUMPY | _PLAIN:
            return super().find_class(module, name)
        top = module.partition(".")[0]
        if (top == "scipy" and module.startswith("scipy.sparse") and name in _SPARSE) or top == "chumpy":
            return type(name, (_Stub,), {"kind": f"{top}.{name}", "__init__": _Stub.__init__})
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array; such a file could run code")


def read_arrays(path: Path | str) -> dict[str, Any]:
    """The dictionary in a pickle of arrays, text and numbers; sparse and chumpy-wrapped entries as plain arrays.

    Raises:
        AssetError: no such file, no pickle (such as a log-in page saved under its name), cut short, not a dictionary,
            or it names anything but arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    data = path.read_bytes()
    if data.lstrip()[:1] == b"<":
        raise AssetError(f"{path}: a web page, not a pickle; the download was not logged in. Download it again")
    try:
        content = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(content, dict):
            raise AssetError(f"{path}: holds a {type(content).__name__}, needs a dictionary of arrays")
        return {str(key): _array(value) for key, value in content.items()}
    except pickle.UnpicklingError as error:
        raise AssetError(f"{path}: refused: {error}") from error
    except (EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError, ImportError, OverflowError) as error:
        raise AssetError(f"{path}: not a readable pickle of arrays, or cut short ({error})") from error


def load_flame(
    model: Path | str, embedding: Path | str, masks: Path | str | None = None, *, name: str = "flame2020"
) -> HeadAsset:
    """FLAME as a head asset with 300 identity and 100 expression coefficients.

    Args:
        model: pickle with ``v_template f shapedirs posedirs J_regressor kintree_table weights``.
        embedding: MediaPipe landmark embedding, npz with ``lmk_face_idx lmk_b_coords landmark_indices``.
        masks: pickle of vertex lists by region, ``FLAME_masks.pkl``; None leaves regions out.
        name: of the asset.

    Raises:
        AssetError: a file is missing or damaged, or an entry is missing or has a wrong shape.
    """
    entries = read_arrays(model)
    for key in ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights"):
        if key not in entries:
            raise AssetError(f"{model}: entry {key!r} is missing; is this a FLAME model?")
    basis = np.asarray(entries["shapedirs"])
    if basis.ndim != 3 or basis.shape[2] != N_SHAPE + N_EXP:
        raise AssetError(f"{model}: entry 'shapedirs' has shape {basis.shape}, needs (V, 3, {N_SHAPE + N_EXP})")
    parents = np.asarray(entries["kintree_table"])[0].astype(np.int64)
    parents[0] = -1
    landmarks = _embedding(Path(embedding))
    regions = {} if masks is None else {key: np.asarray(ids) for key, ids in read_arrays(masks).items()}
    try:
        return HeadAsset(
            name=name,
            v_template=entries["v_template"],
            faces=entries["f"],
            shapedirs=basis[..., :N_SHAPE],
            expdirs=basis[..., N_SHAPE:],
            posedirs=entries["posedirs"],
            J_regressor=entries["J_regressor"],
            parents=parents,
            weights=entries["weights"],
            expression_names=tuple(f"exp_{number:03d}" for number in range(N_EXP)),
            regions=regions,
            **landmarks,
        )
    except (AssetError, ValueError, TypeError) as error:
        raise AssetError(f"{model}, {embedding}: {error}") from error


def _embedding(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    wanted = ("lmk_face_idx", "lmk_b_coords", "landmark_indices")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in wanted if key not in file.files]
            if missing:
                raise AssetError(f"{path}: entry {missing[0]!r} is missing; needs {', '.join(wanted)}")
            return {key: file[key] for key in wanted}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise AssetError(f"{path}: not a readable npz of plain arrays ({error})") from error


def _array(value: Any) -> Any:
    """The plain array within a stub; anything else as it is."""
    if not isinstance(value, _Stub):
        return value
    top, _, name = value.kind.partition(".")
    state = value.state
    if top == "scipy":
        shape = state["_shape"] if "_shape" in state else state["shape"]
        matrix = _SPARSE[name]((state["data"], state["indices"], state["indptr"]), shape=shape)
        return matrix.toarray()
    if "x" in state:
        return np.asarray(_array(state["x"]))
    if {"a", "idxs", "preferred_shape"} <= set(state):
        whole: NDArray[Any] = np.asarray(_array(state["a"]))
        return whole.ravel()[state["idxs"]].reshape(state["preferred_shape"])
    raise ValueError(f"a chumpy object of kind {name} holds no array")
