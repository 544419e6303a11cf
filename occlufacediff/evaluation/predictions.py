"""The file predictions.h5: occlusion of each clip, and its motion by each method.

Layout: ``<kind>/occlusion/<subject>/<clip>`` with ``boxes`` (T, 4), ``frames`` (T,), ``lmk_mask`` (T, 468) and the
attribute ``inverted``; for the kind ``picture`` also ``picture`` (224, 224, 4) RGBA.
``<kind>/<method>/<subject>/<clip>`` with ``exp`` (T, E) and ``jaw`` (T, 3).
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.occlusion.occlude import Occlusion

Float = NDArray[np.float32]

OCCLUSION = "occlusion"


def write_motion(file: h5py.File, kind: str, method: str, clip_id: str, motion: Float) -> None:
    """Add the motion (T, E + 3) of a clip (``<subject>/<clip>``) by a method, under one kind of occlusion."""
    group = file.create_group(f"{kind}/{method}/{clip_id}")
    group.create_dataset("exp", data=motion[:, :-3].astype(np.float32))
    group.create_dataset("jaw", data=motion[:, -3:].astype(np.float32))


def write_occlusion(file: h5py.File, clip_id: str, occlusion: Occlusion, lmk_mask: Float) -> None:
    """Add the occlusion of a clip and its visible landmarks ``lmk_mask`` (T, 468), 1 visible."""
    group = file.create_group(f"{occlusion.kind}/{OCCLUSION}/{clip_id}")
    group.create_dataset("boxes", data=occlusion.boxes.astype(np.int32))
    group.create_dataset("frames", data=occlusion.frames)
    group.create_dataset("lmk_mask", data=lmk_mask.astype(np.uint8), compression="gzip", compression_opts=4)
    group.attrs["inverted"] = occlusion.inverted
    if occlusion.picture is not None:
        group.create_dataset("picture", data=occlusion.picture, compression="gzip", compression_opts=4)


def read_motion(path: Path, kind: str, method: str, clip_id: str) -> tuple[Float, Float]:
    """``exp`` (T, E) and ``jaw`` (T, 3) of a clip by a method.

    Raises:
        AssetError: the file has no such prediction.
    """
    with h5py.File(path, "r") as file:
        group = _group(file, f"{kind}/{method}/{clip_id}")
        return group["exp"][()], group["jaw"][()]


def read_occlusion(path: Path, kind: str, clip_id: str) -> tuple[Occlusion, Float]:
    """Occlusion of a clip, and its visible landmarks (T, 468).

    Raises:
        AssetError: the file has no such clip or kind of occlusion.
    """
    with h5py.File(path, "r") as file:
        group = _group(file, f"{kind}/{OCCLUSION}/{clip_id}")
        occlusion = Occlusion(
            kind=kind,
            boxes=group["boxes"][()].astype(np.int64),
            frames=group["frames"][()],
            inverted=bool(group.attrs["inverted"]),
            picture=group["picture"][()] if "picture" in group else None,
        )
        return occlusion, group["lmk_mask"][()].astype(np.float32)


def require_head_of(path: Path, head: HeadAsset) -> None:
    """Check that predictions were made with this head model.

    Raises:
        AssetError: the file names another head model.
    """
    with h5py.File(path, "r") as file:
        require_head(path, dict(file.attrs), head, "evaluate again with this head model")


def _group(file: h5py.File, name: str) -> h5py.Group:
    if name not in file:
        raise AssetError(
            f"{file.filename}: {name} is missing; run the evaluation again with this method, occlusion and clip"
        )
    return file[name]
