"""predictions.h5: what each method gave for each clip under each occlusion, and what was hidden.

Layout: ``<occlusion>/hidden/<subject>/<clip>`` with ``boxes`` (T, 4), ``frames`` (T,), ``lmk_mask`` (T, 468) and the
attribute ``inverted``, and for the occlusion ``picture`` also ``picture`` (224, 224, 4) RGBA;
``<occlusion>/<method>/<subject>/<clip>`` with ``exp`` (T, E) and ``jaw`` (T, 3).
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

HIDDEN = "hidden"


def write_motion(file: h5py.File, occlusion: str, method: str, clip_id: str, motion: Float) -> None:
    """Add a method's motion (T, E + 3) of a clip (``<subject>/<clip>``)."""
    group = file.create_group(f"{occlusion}/{method}/{clip_id}")
    group.create_dataset("exp", data=motion[:, :-3].astype(np.float32))
    group.create_dataset("jaw", data=motion[:, -3:].astype(np.float32))


def write_hidden(file: h5py.File, clip_id: str, occlusion: Occlusion, lmk_mask: Float) -> None:
    """Add what was hidden of a clip; ``lmk_mask`` (T, 468), 1 visible."""
    group = file.create_group(f"{occlusion.kind}/{HIDDEN}/{clip_id}")
    group.create_dataset("boxes", data=occlusion.boxes.astype(np.int32))
    group.create_dataset("frames", data=occlusion.frames)
    group.create_dataset("lmk_mask", data=lmk_mask.astype(np.uint8), compression="gzip", compression_opts=4)
    group.attrs["inverted"] = occlusion.inverted
    if occlusion.picture is not None:
        group.create_dataset("picture", data=occlusion.picture, compression="gzip", compression_opts=4)


def read_motion(path: Path, occlusion: str, method: str, clip_id: str) -> tuple[Float, Float]:
    """``exp`` (T, E) and ``jaw`` (T, 3) of a method.

    Raises:
        AssetError: the file has no such prediction.
    """
    with h5py.File(path, "r") as file:
        group = _group(file, f"{occlusion}/{method}/{clip_id}")
        return group["exp"][()], group["jaw"][()]


def read_hidden(path: Path, occlusion: str, clip_id: str) -> tuple[Occlusion, Float]:
    """What was hidden of a clip, and its visible landmarks (T, 468).

    Raises:
        AssetError: the file has no such clip or occlusion.
    """
    with h5py.File(path, "r") as file:
        group = _group(file, f"{occlusion}/{HIDDEN}/{clip_id}")
        hidden = Occlusion(
            kind=occlusion,
            boxes=group["boxes"][()].astype(np.int64),
            frames=group["frames"][()],
            inverted=bool(group.attrs["inverted"]),
            picture=group["picture"][()] if "picture" in group else None,
        )
        return hidden, group["lmk_mask"][()].astype(np.float32)


def require_head_of(path: Path, head: HeadAsset) -> None:
    """Refuse predictions of another head model.

    Raises:
        AssetError: the file names another head model.
    """
    with h5py.File(path, "r") as file:
        require_head(path, dict(file.attrs), head, "evaluate again with this head model")


def _group(file: h5py.File, name: str) -> h5py.Group:
    if name not in file:
        raise AssetError(f"{file.filename}: {name} is missing; evaluate again with this method, occlusion and clip")
    return file[name]
