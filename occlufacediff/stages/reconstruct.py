"""Head-model coefficients of one subject's clips, by a fit to their landmarks."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import file_version, sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.stages.coefficients import COEFFICIENTS, ERRORS, read_clip, store_coefficients, write_part
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import Row, key

#: Datasets of a clip that a fit reads.
_READS = ("landmarks", "valid_frames_idx", "crop_boxes")


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

    Frames without a detected face (not in ``valid_frames_idx``) have no weight in the fit; the smoothness term fills
    them. If the clip store has ``lmk_visible``, occluded landmarks have no weight either, and ``known_frames`` is
    copied. Reasons: ``bad_fit`` (the mean error exceeds ``settings.bad_fit_px``), ``no_face`` (no frame has landmarks),
    ``all_hidden`` (too few landmarks are visible).

    With ``chunk`` (see `workflow.chunks`) only that chunk's clips are processed, and only their parts are written.

    Raises:
        AssetError: the head model cannot be read.
    """
    basis = _basis(head)
    model, code = sha256(head), fingerprint("occlufacediff.stages.reconstruct")
    store_coefficients(
        subject,
        clips_h5,
        coefficients_h5,
        index_csv,
        work=partial(_fit, clips_h5, head, settings),
        made_from=lambda clip, digest: key(digest, model, settings, code),
        reads=_READS,
        basis=basis,
        title="fit",
        workers=workers,
        scheduler=scheduler,
        chunk=chunk,
    )


def _basis(head: Path) -> LandmarkBasis:
    """Landmark basis of the head, loaded once per process and file content; Dask workers serve several projects."""
    return _load_basis(*file_version(head))


@cache
def _load_basis(head: Path, size: int, time_ns: int) -> LandmarkBasis:
    return LandmarkBasis.of(HeadAsset.load(head))


def _fit(clips_h5: Path, head: Path, settings: ReconstructionSettings, clip: str, part: Path) -> Row:
    values = read_clip(clips_h5, clip, _READS)
    landmarks, valid, boxes = (values[name] for name in _READS)
    visible = np.zeros((len(landmarks), 468), dtype=bool)
    visible[valid] = True
    with_visibility = "lmk_visible" in values
    if with_visibility:
        visible &= values["lmk_visible"] != 0
    basis = _basis(head)
    try:
        fit = fit_clip(basis, landmarks, settings=settings, boxes=boxes, visible=visible)
    except ValueError as error:
        raise ClipError("all_hidden" if with_visibility else "no_face", f"{clips_h5}: {clip}: {error}") from error
    if fit.error_px > settings.bad_fit_px:
        raise ClipError(
            "bad_fit",
            f"{clips_h5}: {clip}: the head model misses the landmarks by {fit.error_px:.2f} px on average, more than "
            f"bad_fit_px = {settings.bad_fit_px}; check the clip, or raise the limit to keep it",
        )
    errors = write_part(
        part,
        {name: getattr(fit, name) for name in COEFFICIENTS},
        [getattr(fit, name) for name in ERRORS],
        values["known_frames"] if with_visibility else None,
    )
    carried = int((~well_seen(basis, visible)).sum())
    return {"frames": len(landmarks), "frames_carried": carried, **errors}
