"""Crops and normalised landmarks of one subject's clips: the clip store."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from occlufacediff.config.crop import CropSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.fingerprint import fingerprint
from occlufacediff.landmarks.crop import crop_picture
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.landmarks.store import StoredClip, encode_crop, write_clip
from occlufacediff.media.frames import read_frames
from occlufacediff.stages.shard import (
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


def crop_subject(
    subject: str,
    video_dir: Path,
    video_index: Path,
    landmarks_h5: Path,
    clips_h5: Path,
    index_csv: Path,
    *,
    settings: CropSettings,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Write the clip store (see `landmarks.store`) of all clips that have landmarks, and the index.

    Frames without a face are interpolated; each frame has its own box. Reasons: ``broken_video`` when the video does
    not match its landmarks. Figures: `FIGURES`.
    """
    videos = {row["clip"]: video_dir / row["video"] for row in usable(read_index(video_index))}
    with h5py.File(landmarks_h5, "r") as file:
        clips = [clip for clip in videos if clip in file]
        digests = {clip: hashlib.sha256(np.asarray(file[clip]["landmarks_px"]).tobytes()).hexdigest() for clip in clips}
    code = fingerprint("occlufacediff.stages.crop")
    parts = parts_folder(clips_h5)
    rows = run_shard(
        clips,
        partial(_crop, videos, landmarks_h5, settings),
        parts,
        lambda clip: key(sha256(videos[clip]) if videos[clip].is_file() else "", digests[clip], settings, code),
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} crops",
    )
    assemble(clips_h5, rows, parts, {"subject": subject, "crop_scale": settings.scale})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _crop(videos: dict[str, Path], landmarks_h5: Path, settings: CropSettings, clip: str, part: Path) -> Row:
    with h5py.File(landmarks_h5, "r") as file:
        group = file[clip]
        detected = np.asarray(group["landmarks_px"], dtype=np.float32)
        sizes = {name: int(group.attrs[name]) for name in ("width", "height", "n_faces_max")}
        fps = float(group.attrs["fps"])
    landmarks, valid = fill_missing(detected)
    boxes = crop_boxes(landmarks, settings.scale)
    jpegs = []
    for number, frame in enumerate(read_frames(videos[clip], threads=1)):
        if number < len(boxes):
            jpegs.append(encode_crop(crop_picture(frame, boxes[number]), settings.jpeg_quality))
    if len(jpegs) != len(boxes):
        raise ClipError(
            "broken_video", f"{videos[clip]}: {len(jpegs)} frames for {len(boxes)} frames of landmarks; convert it anew"
        )
    stored = StoredClip(
        landmarks=to_crop(landmarks, boxes).astype(np.float32),
        valid_frames_idx=valid.astype(np.int32),
        crop_boxes=boxes.astype(np.float32),
        fps=fps,
        **sizes,
    )
    with new_hdf5(part) as file:
        write_clip(file["/"], stored, jpegs)
    return {
        "frames": stored.frames,
        "frames_interpolated": stored.frames - len(valid),
        "box_px_mean": round(float(boxes[:, 2].mean()), 2),
    }
