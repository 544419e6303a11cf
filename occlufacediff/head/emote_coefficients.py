"""FLAME coefficients as EMOTE's data set keeps them: one HDF5 file a clip."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ClipError
from occlufacediff.head.asset import HeadAsset

FILE = "shape_pose_cam.hdf5"
#: Values a frame of each entry; an entry is stored as (1, frames, values).
ENTRIES = {"exp": 100, "jaw": 3, "global_pose": 3, "cam": 3, "shape": 300}


def read_emote_coefficients(path: Path) -> dict[str, NDArray[np.float32]]:
    """`ENTRIES` of a clip, (n, values) float32 each: radians as axis-angle; ``cam`` is ``[s, tx, ty]`` of the crop.

    Raises:
        ClipError: ``no_coefficients`` when the file is missing; ``bad_coefficients`` when it is damaged, or an entry is
            missing, of a wrong shape or not finite; names file, entry and what was expected.
    """
    if not path.is_file():
        raise ClipError("no_coefficients", f"{path}: no such file")
    read: dict[str, NDArray[np.float32]] = {}
    try:
        with h5py.File(path, "r") as file:
            for name, width in ENTRIES.items():
                if not isinstance(file.get(name), h5py.Dataset):
                    raise ClipError(
                        "bad_coefficients", f"{path}: entry '{name}' is missing, expected shape (1, frames, {width})"
                    )
                frames = len(next(iter(read.values()))) if read else None
                read[name] = _entry(path, name, np.asarray(file[name]), width, frames)
    except (OSError, RuntimeError, KeyError) as error:
        raise ClipError("bad_coefficients", f"{path}: not a readable HDF5 file, or cut short ({error})") from error
    return read


def _entry(path: Path, name: str, values: NDArray[np.generic], width: int, frames: int | None) -> NDArray[np.float32]:
    shape = values.shape
    if len(shape) != 3 or shape[0] != 1 or shape[1] == 0 or shape[2] != width or frames not in (None, shape[1]):
        wanted = f"(1, {'frames' if frames is None else frames}, {width})"
        raise ClipError("bad_coefficients", f"{path}: entry '{name}' has shape {shape}, expected {wanted}")
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ClipError("bad_coefficients", f"{path}: entry '{name}' holds values that are no finite numbers")
    flat: NDArray[np.float32] = values[0].astype(np.float32)
    return flat


def speaks(asset: HeadAsset) -> bool:
    """Whether a head model has the identity and expression coefficients of these files: FLAME's 300 and 100."""
    return (asset.n_shape, asset.n_exp) == (ENTRIES["shape"], ENTRIES["exp"])
