"""Landmarks of one subject's clips."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.files import sha256
from occlufacediff.landmarks.detect import detector_of_process
from occlufacediff.landmarks.track import track_face
from occlufacediff.media.frames import read_frames
from occlufacediff.stages.landmark_part import FIGURES, write_track
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import (
    Row,
    assemble,
    key,
    parts_folder,
    read_index,
    remove_parts,
    run_shard,
    usable,
    write_index,
)


def detect_subject(
    subject: str,
    video_dir: Path,
    video_index: Path,
    landmarks_h5: Path,
    index_csv: Path,
    *,
    settings: LandmarkSettings,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write ``<clip>/landmarks_px`` (T, 478, 2) float32 in px of the 25 fps video, NaN where nothing was found.

    Attributes of a clip: ``width height fps n_faces_max``. With several faces the largest is tracked; the index has the
    number of frames with several. Reasons: ``no_face``, ``few_faces``. Figures: `FIGURES`.

    With ``chunk`` (see `workflow.chunks`) only that chunk's clips are processed, and only their parts are written.

    Raises:
        AssetError: the detector is not installed or its weights are missing.
    """
    sources = {row["clip"]: video_dir / row["video"] for row in usable(read_index(video_index))}
    code = fingerprint("occlufacediff.stages.landmarks")
    parts = parts_folder(landmarks_h5)
    rows = run_shard(
        of_chunk(list(sources), chunk),
        partial(_detect, sources, settings),
        parts,
        lambda clip: key(sha256(sources[clip]) if sources[clip].is_file() else "", settings, code),
        inputs=lambda clip: [sources[clip]],
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} landmarks",
    )
    if chunk is not None:
        return
    assemble(landmarks_h5, rows, parts, {"subject": subject, "detector": settings.detector, "unit": "px"})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _detect(sources: dict[str, Path], settings: LandmarkSettings, clip: str, part: Path) -> Row:
    source = sources[clip]
    track = track_face(read_frames(source, threads=1), detector_of_process(settings))
    return write_track(part, track, source, settings.min_found)
