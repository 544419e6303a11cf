"""Reads FLAME coefficients of the EMOTE data set: one HDF5 file per clip."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ClipError
from occlufacediff.head.asset import HeadAsset

COEFFICIENTS_FILE = "shape_pose_cam.hdf5"
#: Values per frame of each entry; an entry is stored as (1, frames, values).
ENTRIES = {"exp": 100, "jaw": 3, "global_pose": 3, "cam": 3, "shape": 300}


def read_emote_coefficients(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the `ENTRIES` of a clip, (n, values) float32 each.

    Rotations are axis-angle in radians; ``cam`` is ``[s, tx, ty]`` of the crop.

    Raises:
        ClipError: ``no_coefficients`` if the file is missing; ``bad_coefficients`` if it is damaged, or an entry is
            missing, has another shape or is not finite.
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
        expected = f"(1, {'frames' if frames is None else frames}, {width})"
        raise ClipError("bad_coefficients", f"{path}: entry '{name}' has shape {shape}, expected {expected}")
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ClipError("bad_coefficients", f"{path}: entry '{name}' contains values that are not finite numbers")
    flat: NDArray[np.float32] = values[0].astype(np.float32)
    return flat


def has_emote_coefficients(asset: HeadAsset) -> bool:
    """Whether a head model has as many identity and expression coefficients as these files: FLAME's 300 and 100."""
    return (asset.n_shape, asset.n_exp) == (ENTRIES["shape"], ENTRIES["exp"])
