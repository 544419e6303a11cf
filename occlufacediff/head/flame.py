"""FLAME from its published files (2020 and 2023), read by an unpickler that accepts arrays only."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.pickles import read_arrays, refuse_web_page

__all__ = ["find_flame", "load_flame", "read_arrays"]

N_SHAPE, N_EXP = 300, 100
#: Names of the expression coefficients, in order.
EXPRESSION_NAMES = tuple(f"exp_{number:03d}" for number in range(N_EXP))
EMBEDDING = "mediapipe_landmark_embedding.npz"
MASKS = "FLAME_masks.pkl"
# Known file names of the model and the head model of each; the first matching pattern decides.
_MODELS = (
    (re.compile(r"flame_?2023\w*no_?jaw", re.IGNORECASE), "flame2023_no_jaw"),
    (re.compile(r"flame_?2023", re.IGNORECASE), "flame2023"),
    (re.compile(r"(generic_model|flame_?2020(_generic)?|flame_neutral|flame_generic)$", re.IGNORECASE), "flame2020"),
    (re.compile(r"(fe)?male_model$", re.IGNORECASE), "flame2020"),
)


def load_flame(
    model: Path | str, embedding: Path | str, masks: Path | str | None = None, *, name: str = "flame2020"
) -> HeadAsset:
    """FLAME as a head asset with 300 identity and 100 expression coefficients.

    Args:
        model: pickle with ``v_template f shapedirs posedirs J_regressor kintree_table weights``.
        embedding: MediaPipe landmark embedding, npz with ``lmk_face_idx lmk_b_coords landmark_indices``.
        masks: pickle of vertex lists by region, ``FLAME_masks.pkl``; None: no regions.
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
            expression_names=EXPRESSION_NAMES,
            regions=regions,
            **landmarks,
        )
    except (AssetError, ValueError, TypeError) as error:
        raise AssetError(f"{model}, {embedding}: {error}") from error


def find_flame(path: Path | str) -> tuple[Path, Path, Path | None, str]:
    """Find FLAME's files below a folder, or in and below the folder of a model file.

    Known names, whatever their case: ``generic_model.pkl``, ``FLAME2020.pkl``, ``FLAME_NEUTRAL.pkl``,
    ``female_model.pkl``, ``male_model.pkl``, ``flame2023.pkl``, ``flame2023_Open.pkl``, ``flame2023_no_jaw.pkl``. The
    generic model is preferred to the models of one sex or without the jaw's blend shapes.

    Args:
        path: folder, or one model file of any name.

    Returns:
        Model, landmark embedding, masks (None if missing), and the name of the head model.

    Raises:
        AssetError: a file is missing, or there are several models to choose from.
    """
    path = Path(path)
    folders: tuple[Path, ...]
    if path.is_file():
        folders = (path.parent, path.parent.parent)
        model, name = path, _name(path) or "flame2020"
    elif path.is_dir():
        folders = (path,)
        model, name = _only_model(path)
    else:
        raise AssetError(f"{path}: no such file or folder; give the folder with FLAME's files")
    embedding, masks = (_first(folders, file) for file in (EMBEDDING, MASKS))
    if embedding is None:
        raise AssetError(
            f"{folders[0]}: {EMBEDDING} is missing; download the MediaPipe landmark embedding from FLAME's site "
            "into that folder"
        )
    return model, embedding, masks, name


def _name(path: Path) -> str | None:
    return next((name for pattern, name in _MODELS if pattern.match(path.stem)), None)


def _only_model(folder: Path) -> tuple[Path, str]:
    found = [(path, name) for path in sorted(folder.rglob("*.pkl")) if (name := _name(path)) is not None]
    plain = [(path, name) for path, name in found if not re.search("male_model|no_?jaw", path.stem, re.IGNORECASE)]
    choice = plain or found
    if not choice:
        raise AssetError(
            f"{folder}: no FLAME model found; needs generic_model.pkl (2020) or flame2023.pkl, or give the model file"
        )
    if len(choice) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path, _ in choice)
        raise AssetError(f"{folder}: several FLAME models found ({names}); give one model file instead of the folder")
    return choice[0]


def _first(folders: tuple[Path, ...], name: str) -> Path | None:
    """The file with that name, whatever its case, nearest to the top of the first folder that has one."""
    for folder in folders:
        # The folder of a model file may be large: only the folder itself and one level below are searched.
        below = folder.rglob("*") if len(folders) == 1 else (*folder.glob("*"), *folder.glob("*/*"))
        found = [path for path in below if path.name.lower() == name.lower() and path.is_file()]
        if found:
            return min(found, key=lambda path: (len(path.parts), path))
    return None


def _embedding(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    refuse_web_page(path)
    wanted = ("lmk_face_idx", "lmk_b_coords", "landmark_indices")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in wanted if key not in file.files]
            if missing:
                raise AssetError(f"{path}: entry {missing[0]!r} is missing; needs {', '.join(wanted)}")
            return {key: file[key] for key in wanted}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise AssetError(f"{path}: not a readable npz of plain arrays ({error})") from error
