"""Stage: EMOTE's FLAME coefficients of the clips of one subject, in place of a fit."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from occlufacediff.config.emote import EmoteSettings
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.files import file_version, sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.emote_coefficients import (
    COEFFICIENTS_FILE,
    ENTRIES,
    has_emote_coefficients,
    read_emote_coefficients,
)
from occlufacediff.head.fit_errors import FitErrors
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.stages.coefficients import FIGURES, read_clip, store_coefficients, write_part
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import Row, key

#: Further columns of the index: number of published frames, standard deviation of the identity over these frames.
FURTHER = ("frames_published", "shape_spread")
#: Data sets that are read from the clip store.
_READS = ("landmarks", "valid_frames_idx")


def read_emote_coefficients_subject(
    subject: str,
    clips_h5: Path,
    head: Path,
    coefficients_dir: Path,
    coefficients_h5: Path,
    index_csv: Path,
    *,
    settings: EmoteSettings,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write the outputs of `reconstruct_subject` from ``coefficients_dir/<clip>/shape_pose_cam.hdf5``.

    The identity is the mean over the frames of a clip. Frames beyond the end of the clip are cut; missing frames at its
    end repeat the last one. The index column ``frames_published`` records this. Errors against the landmarks are stored
    but never fail a clip. Failure reasons: ``no_coefficients``, ``bad_coefficients``, ``frames_differ``.

    With ``chunk`` (see `workflow.chunks`), only the clips of that chunk are processed, and only their parts are kept.

    Args:
        coefficients_dir: folder of the subject and view.

    Raises:
        AssetError: the folder does not exist, or the head model does not have the dimensions of FLAME.
    """
    if not coefficients_dir.is_dir():
        raise AssetError(f"{coefficients_dir}: no such folder; emote.folder must hold reconstructions/")
    asset, basis = _head(head)
    if not has_emote_coefficients(asset):
        raise AssetError(
            f"{head}: the head model '{asset.name}' has {asset.n_shape} identity and {asset.n_exp} expression "
            "coefficients, EMOTE's have 300 and 100; set `head` to FLAME (see `occlufacediff convert --help`)"
        )
    model, code = sha256(head), fingerprint("occlufacediff.stages.emote_coefficients")

    def published(clip: str) -> list[Path]:
        return [path] if (path := coefficients_dir / clip / COEFFICIENTS_FILE).is_file() else []

    store_coefficients(
        subject,
        clips_h5,
        coefficients_h5,
        index_csv,
        work=partial(_read, clips_h5, head, coefficients_dir, settings),
        made_from=lambda clip, digest: key(
            digest, "".join(map(sha256, published(clip))), model, settings.frames_tolerance, code
        ),
        inputs=published,
        reads=_READS,
        basis=basis,
        title="coefficients",
        figures=(*FIGURES, *FURTHER),
        workers=workers,
        scheduler=scheduler,
        chunk=chunk,
    )


def _head(path: Path) -> tuple[HeadAsset, LandmarkBasis]:
    """The head and its landmark basis, loaded once per process and file; Dask workers serve several projects."""
    return _load_head(*file_version(path))


@cache
def _load_head(path: Path, size: int, time_ns: int) -> tuple[HeadAsset, LandmarkBasis]:
    asset = HeadAsset.load(path)
    return asset, LandmarkBasis.of(asset)


def _read(clips_h5: Path, head: Path, coefficients_dir: Path, settings: EmoteSettings, clip: str, part: Path) -> Row:
    values = read_clip(clips_h5, clip, _READS)
    landmarks, valid = (values[name] for name in _READS)
    source = coefficients_dir / clip / COEFFICIENTS_FILE
    read = read_emote_coefficients(source)
    frames, published = len(landmarks), len(read["exp"])
    if abs(published - frames) > settings.frames_tolerance:
        raise ClipError(
            "frames_differ",
            f"{source}: {published} frames for {frames} of {clips_h5}: {clip}; the difference exceeds "
            f"emote.frames_tolerance = {settings.frames_tolerance}",
        )
    shape = read["shape"].mean(axis=0)
    motion = {name: _of_length(read[name], frames) for name in ENTRIES if name != "shape"}
    # One thread per worker: sums have the same order on every machine, and there is one worker per core.
    with threadpool_limits(1):
        fit_error = _errors(head, shape, motion, landmarks, valid, values.get("lmk_visible"))
    errors = write_part(part, {**motion, "shape": shape}, fit_error, values.get("known_frames"))
    return {
        "frames": frames,
        "frames_carried": frames - len(valid),
        **errors,
        "frames_published": published,
        "shape_spread": round(float(read["shape"].std(axis=0).mean()), 5),
    }


def _of_length(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Cut or extend ``values`` (T, D) to ``frames`` rows; new rows repeat the last one."""
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
    valid_points = np.isfinite(points).all(axis=-1)
    valid_points &= np.isin(np.arange(len(landmarks)), valid)[:, None]
    if visible is not None:
        valid_points &= visible[:, basis.indices] != 0
    errors = FitErrors(basis)
    errors.add(fitted, points, valid_points)
    return errors.result()
