"""Files of an evaluation's motions: occlusion of each clip, and its motion by each method.

Layout: ``<kind>/occlusion/<subject>/<clip>`` with ``boxes`` (T, 4), ``frames`` (T,), ``lmk_mask`` (T, 468) and the
attributes ``inverted`` and ``opaque``; for the kind ``picture`` also ``picture`` (224, 224, 4) RGBA, for the kinds
``natural`` and ``natural_true`` ``object`` (H, W, 4) RGBA and its ``path`` (T, 4), and ``lmk_received`` (T, 468), the
landmarks that methods took for visible. ``lmk_mask`` is the truth.
``<kind>/<method>/<subject>/<clip>`` with ``exp`` (T, E) and ``jaw`` (T, 3); for a method with several samples also
``sample_exp`` (S, T, E) and ``sample_jaw`` (S, T, 3).
``<kind>/fit/<subject>/<clip>`` with ``shape`` (S,), ``global_pose`` (T, 3) and ``cam`` (T, 3), if methods received a
head that was estimated from the visible landmarks. ``clips``: ids of all clips, also of those that failed. The
attributes ``occlusions`` and ``methods`` list the names in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.occlusion.moving_picture import OPAQUE, MovingPicture
from occlufacediff.occlusion.occlude import Occlusion

Float = NDArray[np.float32]

OCCLUSION = "occlusion"
FIT = "fit"
CLIPS = "clips"


def write_names(file: h5py.File, clips: Sequence[str], occlusions: Sequence[str], methods: Sequence[str]) -> None:
    """Add the ids of the clips (``<subject>/<clip>``), and the names of occlusion kinds and methods."""
    file.create_dataset(CLIPS, data=np.array([clip.encode() for clip in clips], dtype="S"))
    file.attrs["occlusions"] = "\n".join(occlusions)
    file.attrs["methods"] = "\n".join(methods)


def read_names(file: h5py.File) -> tuple[list[str], list[str], list[str]]:
    """Ids of clips, occlusion kinds and methods, in their order.

    Raises:
        AssetError: they are missing.
    """
    if CLIPS not in file or not {"occlusions", "methods"} <= set(file.attrs):
        raise AssetError(f"{file.filename}: the names of clips, occlusions and methods are missing; sample again")
    kinds, methods = (str(file.attrs[name]).split("\n") for name in ("occlusions", "methods"))
    return [name.decode() for name in file[CLIPS][()]], kinds, methods


def write_motion(
    file: h5py.File, kind: str, method: str, clip_id: str, motion: Float, samples: Float | None = None
) -> None:
    """Add the motion (T, E + 3) of a clip (``<subject>/<clip>``) by a method, under one kind of occlusion.

    Args:
        samples: (S, T, E + 3) sampled motions of which the motion is the mean; None: the method has none.
    """
    group = file.create_group(f"{kind}/{method}/{clip_id}")
    for prefix, values in (("", motion), ("sample_", samples)):
        if values is not None:
            group.create_dataset(prefix + "exp", data=values[..., :-3].astype(np.float32))
            group.create_dataset(prefix + "jaw", data=values[..., -3:].astype(np.float32))


def write_fit(file: h5py.File, kind: str, clip_id: str, shape: Float, global_pose: Float, cam: Float) -> None:
    """Add the head that methods received for a clip: identity (S,), head pose (T, 3) and camera (T, 3)."""
    group = file.create_group(f"{kind}/{FIT}/{clip_id}")
    for name, values in (("shape", shape), ("global_pose", global_pose), ("cam", cam)):
        group.create_dataset(name, data=values.astype(np.float32))


def fit_of(file: h5py.File, kind: str, clip_id: str) -> tuple[Float, Float, Float] | None:
    """Identity (S,), head pose (T, 3) and camera (T, 3) that methods received for a clip; None: those of the truth."""
    group = file.get(f"{kind}/{FIT}/{clip_id}")
    return None if group is None else (group["shape"][()], group["global_pose"][()], group["cam"][()])


def write_occlusion(
    file: h5py.File, clip_id: str, occlusion: Occlusion, lmk_mask: Float, received: Float | None = None
) -> None:
    """Add the occlusion of a clip and its visible landmarks ``lmk_mask`` (T, 468), 1 visible.

    Args:
        received: (T, 468) the landmarks that methods took for visible; None: the same.
    """
    group = file.create_group(f"{occlusion.kind}/{OCCLUSION}/{clip_id}")
    group.create_dataset("boxes", data=occlusion.boxes.astype(np.int32))
    group.create_dataset("frames", data=occlusion.frames)
    group.create_dataset("lmk_mask", data=lmk_mask.astype(np.uint8), compression="gzip", compression_opts=4)
    if received is not None:
        data = received.astype(np.uint8)
        group.create_dataset("lmk_received", data=data, compression="gzip", compression_opts=4)
    group.attrs["inverted"] = occlusion.inverted
    group.attrs["opaque"] = occlusion.opaque
    if occlusion.moving is not None:
        group.create_dataset("object", data=occlusion.moving.picture, compression="gzip", compression_opts=4)
        group.create_dataset("path", data=occlusion.moving.path)
    if occlusion.picture is not None:
        group.create_dataset("picture", data=occlusion.picture, compression="gzip", compression_opts=4)


def read_motion(path: Path, kind: str, method: str, clip_id: str) -> tuple[Float, Float]:
    """``exp`` (T, E) and ``jaw`` (T, 3) of a clip by a method.

    Raises:
        AssetError: the file has no such motion.
    """
    with h5py.File(path, "r") as file:
        group = _group(file, f"{kind}/{method}/{clip_id}")
        return group["exp"][()], group["jaw"][()]


def motion_of(file: h5py.File, kind: str, method: str, clip_id: str) -> tuple[Float, Float | None]:
    """Motion (T, E + 3) of a clip by a method, and its samples (S, T, E + 3) or None.

    Raises:
        AssetError: the file has no such motion.
    """
    group = _group(file, f"{kind}/{method}/{clip_id}")
    motion = np.concatenate([group["exp"][()], group["jaw"][()]], axis=-1)
    if "sample_exp" not in group:
        return motion, None
    return motion, np.concatenate([group["sample_exp"][()], group["sample_jaw"][()]], axis=-1)


def read_occlusion(path: Path, kind: str, clip_id: str) -> tuple[Occlusion, Float]:
    """Occlusion of a clip, and its visible landmarks (T, 468).

    Raises:
        AssetError: the file has no such clip or kind of occlusion.
    """
    with h5py.File(path, "r") as file:
        return occlusion_of(file, kind, clip_id)


def occlusion_of(file: h5py.File, kind: str, clip_id: str) -> tuple[Occlusion, Float]:
    """As `read_occlusion`, of an open file."""
    group = _group(file, f"{kind}/{OCCLUSION}/{clip_id}")
    occlusion = Occlusion(
        kind=kind,
        boxes=group["boxes"][()].astype(np.int64),
        frames=group["frames"][()],
        inverted=bool(group.attrs["inverted"]),
        picture=group["picture"][()] if "picture" in group else None,
        moving=MovingPicture(group["object"][()], group["path"][()]) if "object" in group else None,
        opaque=int(group.attrs.get("opaque", OPAQUE)),
    )
    return occlusion, group["lmk_mask"][()].astype(np.float32)


def has_case(file: h5py.File, kind: str, clip_id: str) -> bool:
    """Whether a clip was reconstructed under a kind of occlusion; a clip that failed was not."""
    return f"{kind}/{OCCLUSION}/{clip_id}" in file


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
