"""Crops and normalised landmarks of one subject's clips: the clip store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.landmarks.store import StoredClip, encode_crop, write_clip
from occlufacediff.landmarks.topology import MESH_POINTS
from occlufacediff.landmarks.visibility import visible_landmarks
from occlufacediff.media.frames import read_frames
from occlufacediff.occlusion.known_frames import known_frames
from occlufacediff.occlusion.visibility_source import check_source, source_digest, visibility_source
from occlufacediff.visibility.attention import Attention
from occlufacediff.visibility.finder import OcclusionFinder, join
from occlufacediff.weights import occlusion_weights
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

FIGURES = ("frames", "frames_interpolated", "box_px_mean")
#: Further figures with a visibility source: part of all landmarks that is occluded, frames whose motion is not known.
OCCLUSION_FIGURES = ("landmarks_hidden", "frames_unknown")


def crop_subject(
    subject: str,
    video_dir: Path,
    video_index: Path,
    landmarks_h5: Path,
    clips_h5: Path,
    index_csv: Path,
    *,
    settings: CropSettings,
    visibility: VisibilitySettings | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write the clip store (see `landmarks.store`) of all clips that have landmarks, and the index.

    Landmarks of frames without a face are interpolated; each frame has its own box. With a source of ``visibility``
    (None: no source), the store also holds which landmarks are visible and in which frames the motion is known.
    Reasons: ``broken_video`` (the video does not match its landmarks), ``no_mask``, ``bad_mask``, ``all_hidden``.
    Figures: `FIGURES`, and `OCCLUSION_FIGURES` with a source.

    With ``chunk`` (see `workflow.chunks`) only that chunk's clips are processed, and only their parts are written.

    Raises:
        ConfigError: there is no folder of masks.
        AssetError: the segmentation model is missing or not usable.
    """
    visibility = visibility or VisibilitySettings()
    check_source(visibility)
    videos = {row["clip"]: video_dir / row["video"] for row in usable(read_index(video_index))}
    with h5py.File(landmarks_h5, "r") as file:
        clips = [clip for clip in videos if clip in file]
        digests = {clip: hashlib.sha256(np.asarray(file[clip]["landmarks_px"]).tobytes()).hexdigest() for clip in clips}
    code = fingerprint("occlufacediff.stages.crop")
    parts = parts_folder(clips_h5)
    rows = run_shard(
        of_chunk(clips, chunk),
        partial(_crop, subject, videos, landmarks_h5, settings, visibility),
        parts,
        lambda clip: key(
            sha256(videos[clip]) if videos[clip].is_file() else "",
            digests[clip],
            settings,
            source_digest(visibility, f"{subject}/{clip}"),
            sha256(occlusion_weights()) if visibility.source == "auto" else "",
            code,
        ),
        inputs=lambda clip: [videos[clip]],
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} crops",
    )
    attributes = {"subject": subject, "crop_scale": settings.scale}
    figures: tuple[str, ...] = FIGURES
    if visibility.source != "none":
        attributes |= {"visibility": visibility.source}
        figures += OCCLUSION_FIGURES
    if chunk is not None:
        return
    assemble(clips_h5, rows, parts, attributes)
    write_index(index_csv, rows, figures)
    remove_parts(parts)


def _crop(
    subject: str,
    videos: dict[str, Path],
    landmarks_h5: Path,
    settings: CropSettings,
    visibility: VisibilitySettings,
    clip: str,
    part: Path,
) -> Row:
    with h5py.File(landmarks_h5, "r") as file:
        group = file[clip]
        detected = np.asarray(group["landmarks_px"], dtype=np.float32)
        sizes = {name: int(group.attrs[name]) for name in ("width", "height", "n_faces_max")}
        fps = float(group.attrs["fps"])
    landmarks, valid = fill_missing(detected)
    boxes = crop_boxes(landmarks, settings.scale)
    points = to_crop(landmarks, boxes).astype(np.float32)
    cover = visibility_source(visibility, f"{subject}/{clip}", (sizes["width"], sizes["height"]), len(boxes))
    # Without a source all landmarks of a found face are visible; in a frame without a face none is.
    visible = np.isfinite(detected[:, :MESH_POINTS]).all(axis=2).astype(np.uint8)
    jpegs = []
    evidence: dict[int, NDArray[np.float32]] = {}
    finder = OcclusionFinder() if visibility.source == "auto" else None
    attention = Attention()

    def look(finder: OcclusionFinder, number: int, frame: NDArray[np.uint8]) -> bool:
        evidence[number] = finder.look(frame, boxes[number], np.nan_to_num(points[number, :MESH_POINTS]))
        return finder.clear

    for number, (frame, crop) in enumerate(_crops(videos[clip], boxes)):
        jpegs.append(encode_crop(crop, settings.jpeg_quality))
        if finder is not None and not visible[number].any():
            attention.no_face()
        elif finder is not None and finder.is_due(number):
            finder.next_turn()
            attention.due(partial(look, finder, number, frame))
        if cover is not None:
            hidden = cover.occluded_pixels(number, boxes[number], crop)
            visible[number] *= visible_landmarks(points[number, :MESH_POINTS], ~hidden)
    if finder is not None:
        attention.end()
        finder.close()
        visible *= ~join(evidence, len(visible)).hidden
    known = known_frames(visible, detected, visibility.known_part)
    with_source = visibility.source != "none"
    if with_source and not visible.any():
        raise ClipError(
            "all_hidden",
            f"{videos[clip]}: the whole face is occluded in every frame by visibility.source "
            f"'{visibility.source}'; check its mask or the model's categories, or leave the clip out",
        )
    stored = StoredClip(
        landmarks=points,
        valid_frames_idx=valid.astype(np.int32),
        crop_boxes=boxes.astype(np.float32),
        fps=fps,
        lmk_visible=visible if with_source else None,
        known_frames=known.astype(np.uint8) if with_source else None,
        **sizes,
    )
    with new_hdf5(part) as file:
        write_clip(file["/"], stored, jpegs)
    row = {
        "frames": stored.frames,
        "frames_interpolated": stored.frames - len(valid),
        "box_px_mean": round(float(boxes[:, 2].mean()), 2),
    }
    if with_source:
        given = np.isfinite(detected[:, :MESH_POINTS]).all(axis=2).any(axis=0)
        row["landmarks_hidden"] = round(1 - float(visible[:, given].mean()), 4)
        row["frames_unknown"] = int((~known).sum())
    return row


def _crops(video: Path, boxes: NDArray[np.floating]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Each frame and its crop; ClipError at the end of a video of another length than ``boxes``."""
    frames = 0
    for frames, frame in enumerate(read_frames(video, threads=1), start=1):
        if frames <= len(boxes):
            yield frame, crop_image(frame, boxes[frames - 1])
    if frames != len(boxes):
        raise ClipError(
            "broken_video", f"{video}: {frames} frames for {len(boxes)} frames of landmarks; convert it again"
        )
