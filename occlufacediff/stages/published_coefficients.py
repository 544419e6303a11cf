"""Published FLAME coefficients of one subject's clips, in place of a fit."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from occlufacediff.config.published import PublishedSettings
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.fingerprint import fingerprint
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import fit_errors
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.published import ENTRIES, FILE, read_published_coefficients, speaks
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
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

#: As of the fit; further the frames of the published file, and how far its identity moves over them (it is averaged).
FIGURES = (
    "frames",
    "frames_carried",
    "error_px",
    "lips_px",
    "opening_correlation",
    "frames_published",
    "shape_spread",
)


def read_coefficients_subject(
    subject: str,
    clips_h5: Path,
    head: Path,
    coefficients_dir: Path,
    coefficients_h5: Path,
    index_csv: Path,
    *,
    settings: PublishedSettings,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write what `reconstruct_subject` writes, from ``coefficients_dir/<clip>/shape_pose_cam.hdf5``.

    Identity is the mean over a clip's frames. Published frames beyond the clip are cut, missing ones at its end hold
    the last; ``frames_published`` tells. Errors against the landmarks are measured and stored, none is a reason to
    fail. Reasons: ``no_coefficients``, ``bad_coefficients``, ``frames_differ``.

    With ``chunk`` (see `stages.chunks`) only that chunk's clips are done, and their parts are all that is left.

    Args:
        coefficients_dir: the subject's folder of one view.

    Raises:
        AssetError: there is no such folder, or the head model is not FLAME's shape.
    """
    if not coefficients_dir.is_dir():
        raise AssetError(f"{coefficients_dir}: no such folder; published.folder must hold reconstructions/")
    asset, basis = _head(head)
    if not speaks(asset):
        raise AssetError(
            f"{head}: the head model '{asset.name}' has {asset.n_shape} identity and {asset.n_exp} expression "
            "coefficients, the published ones are FLAME's 300 and 100; give FLAME as `head` (occlufacediff convert)"
        )
    with h5py.File(clips_h5, "r") as file:
        found = clips_with(file, "landmarks")
        digests = {
            clip: key(*(np.asarray(file[clip][name]).tobytes().hex() for name in _inputs(file[clip]))) for clip in found
        }
        hiding = file.attrs.get("visibility")
    model, code = sha256(head), fingerprint("occlufacediff.stages.published_coefficients")
    parts = parts_folder(coefficients_h5)

    def made_from(clip: str) -> str:
        source = coefficients_dir / clip / FILE
        return key(digests[clip], sha256(source) if source.is_file() else "", model, settings.frames_tolerance, code)

    rows = run_shard(
        of_chunk(found, chunk),
        partial(_read, clips_h5, head, coefficients_dir, settings),
        parts,
        made_from,
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} coefficients",
    )
    attributes = {
        "subject": subject,
        "head_model": asset.name,
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
    """Names of what is read of a clip; visibility only where it was told."""
    return ["landmarks", "valid_frames_idx", *(name for name in ("lmk_visible", "known_frames") if name in group)]


@cache
def _head(path: Path) -> tuple[HeadAsset, LandmarkBasis]:
    asset = HeadAsset.load(path)
    return asset, LandmarkBasis.of(asset)


def _read(
    clips_h5: Path, head: Path, coefficients_dir: Path, settings: PublishedSettings, clip: str, part: Path
) -> Row:
    with h5py.File(clips_h5, "r") as file:
        values = {name: np.asarray(file[clip][name]) for name in _inputs(file[clip])}
    landmarks, valid = values["landmarks"], values["valid_frames_idx"]
    source = coefficients_dir / clip / FILE
    read = read_published_coefficients(source)
    frames, published = len(landmarks), len(read["exp"])
    if abs(published - frames) > settings.frames_tolerance:
        raise ClipError(
            "frames_differ",
            f"{source}: {published} frames for {frames} of {clips_h5}: {clip}, more apart than "
            f"published.frames_tolerance = {settings.frames_tolerance}",
        )
    shape = read["shape"].mean(axis=0)
    motion = {name: _of_length(read[name], frames) for name in ENTRIES if name != "shape"}
    # Sums keep their order whatever the machine; the workers are as many as the cores.
    with threadpool_limits(1):
        error, lips, correlation = _errors(head, shape, motion, landmarks, valid, values.get("lmk_visible"))
    errors = {"error_px": round(error, 4), "lips_px": round(lips, 4), "opening_correlation": round(correlation, 4)}
    with new_hdf5(part) as file:
        for name, values in {**motion, "shape": shape}.items():
            file[name] = values
        if "known_frames" in values:
            file["known_frames"] = values["known_frames"]
        for name, value in errors.items():
            file.attrs[name] = value
        file["jaw"].attrs["unit"] = file["global_pose"].attrs["unit"] = "axis-angle, radians"
        file["cam"].attrs["unit"] = "s, tx, ty: p = s * (X_xy + [tx, ty]), then y negated; crop coordinates and metres"
    return {
        "frames": frames,
        "frames_carried": frames - len(valid),
        **errors,
        "frames_published": published,
        "shape_spread": round(float(read["shape"].std(axis=0).mean()), 5),
    }


def _of_length(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Cut to ``frames``, or filled by the last one."""
    missing = max(0, frames - len(values))
    return np.concatenate([values[:frames], np.repeat(values[-1:], missing, axis=0)])


def _errors(
    head: Path,
    shape: NDArray[np.float32],
    motion: dict[str, NDArray[np.float32]],
    landmarks: NDArray[np.float32],
    valid: NDArray[np.int32],
    visible: NDArray[np.uint8] | None,
) -> tuple[float, float, float]:
    asset, basis = _head(head)
    vertices = vertices_numpy(asset, shape, motion["exp"], motion["global_pose"], motion["jaw"])
    fitted = project_numpy(landmarks_numpy(asset, vertices), motion["cam"])
    points = landmarks[:, basis.indices].astype(np.float64)
    seen = np.isfinite(points).all(axis=-1)
    seen &= np.isin(np.arange(len(landmarks)), valid)[:, None]
    if visible is not None:
        seen &= visible[:, basis.indices] != 0
    return fit_errors(basis, fitted, points, seen)
