"""Head-model coefficients of one subject's clips, by a fit to their landmarks."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.fingerprint import fingerprint
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import LEAST_VISIBLE, fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.stages.chunks import of_chunk
from occlufacediff.stages.shard import (
    Row,
    assemble,
    clips_with,
    key,
    parts_folder,
    remove_parts,
    run_shard,
    write_index,
)

#: Columns of the index: frames, those without a face of their own, and how the fit follows the landmarks (crop px).
FIGURES = ("frames", "frames_carried", "error_px", "lips_px", "opening_correlation")
COEFFICIENTS = ("exp", "jaw", "global_pose", "cam", "shape")


def reconstruct_subject(
    subject: str,
    clips_h5: Path,
    head: Path,
    coefficients_h5: Path,
    index_csv: Path,
    *,
    settings: ReconstructionSettings,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write `COEFFICIENTS` of every clip of a clip store (``<clip>/exp`` ...; errors as attributes), and the index.

    Frames without a face of their own (not in ``valid_frames_idx``) do not count; smoothness carries them. Where the
    clip store tells what is hidden in the recordings, hidden landmarks do not count either, and ``known_frames`` goes
    along. Reasons: ``bad_fit`` when the mean error exceeds ``settings.bad_fit_px``, ``no_face`` when no frame has
    landmarks to fit, ``all_hidden`` when too few of them are visible.

    With ``chunk`` (see `stages.chunks`) only that chunk's clips are done, and their parts are all that is left.

    Raises:
        AssetError: the head model cannot be read.
    """
    basis = _basis(head)
    with h5py.File(clips_h5, "r") as file:
        clips = clips_with(file, "landmarks")
        digests = {
            clip: key(*(np.asarray(file[clip][name]).tobytes().hex() for name in _inputs(file[clip]))) for clip in clips
        }
        hiding = file.attrs.get("visibility")
    model, code = sha256(head), fingerprint("occlufacediff.stages.reconstruct")
    parts = parts_folder(coefficients_h5)
    rows = run_shard(
        of_chunk(clips, chunk),
        partial(_fit, clips_h5, head, settings),
        parts,
        lambda clip: key(digests[clip], model, settings, code),
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} fit",
    )
    attributes = {
        "subject": subject,
        "head_model": basis.name,
        "expression_names": list(basis.expression_names),
        "fps": 25.0,
    }
    if hiding is not None:
        attributes["visibility"] = str(hiding)
    if chunk is not None:
        return
    assemble(coefficients_h5, rows, parts, attributes)
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _inputs(group: h5py.Group) -> list[str]:
    """Names of what a fit depends on; visibility only where it was told."""
    told = [name for name in ("lmk_visible", "known_frames") if name in group]
    return ["landmarks", "valid_frames_idx", "crop_boxes", *told]


@cache
def _basis(head: Path) -> LandmarkBasis:
    """The head at its landmarks, once a process (forked workers inherit it)."""
    return LandmarkBasis.of(HeadAsset.load(head))


def _fit(clips_h5: Path, head: Path, settings: ReconstructionSettings, clip: str, part: Path) -> Row:
    with h5py.File(clips_h5, "r") as file:
        values = {name: np.asarray(file[clip][name]) for name in _inputs(file[clip])}
    landmarks, valid, boxes = (values[name] for name in ("landmarks", "valid_frames_idx", "crop_boxes"))
    visible = np.zeros((len(landmarks), 468), dtype=bool)
    visible[valid] = True
    told = "lmk_visible" in values
    if told:
        visible &= values["lmk_visible"] != 0
    try:
        fit = fit_clip(_basis(head), landmarks, settings=settings, boxes=boxes, visible=visible)
    except ValueError as error:
        raise ClipError("all_hidden" if told else "no_face", f"{clips_h5}: {clip}: {error}") from error
    if fit.error_px > settings.bad_fit_px:
        raise ClipError(
            "bad_fit",
            f"{clips_h5}: {clip}: the head model misses the landmarks by {fit.error_px:.2f} px on average, more than "
            f"bad_fit_px = {settings.bad_fit_px}; look at the clip, or raise the limit to keep it",
        )
    errors = {name: round(getattr(fit, name), 4) for name in ("error_px", "lips_px", "opening_correlation")}
    with new_hdf5(part) as file:
        for name in COEFFICIENTS:
            file[name] = getattr(fit, name)
        if told:
            file["known_frames"] = values["known_frames"]
        for name, value in errors.items():
            file.attrs[name] = value
        file["jaw"].attrs["unit"] = file["global_pose"].attrs["unit"] = "axis-angle, radians"
        file["cam"].attrs["unit"] = "s, tx, ty: p = s * (X_xy + [tx, ty]), then y negated; crop coordinates and metres"
    carried = int((visible.sum(axis=1) < LEAST_VISIBLE).sum())
    return {"frames": len(landmarks), "frames_carried": carried, **errors}
