"""Stage: paint an occluder into each of a subject's videos, and find landmarks and occlusions under it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.evaluation.painted import PaintedClip
from occlufacediff.evaluation.rows import scored_clips
from occlufacediff.evaluation.visibility_counts import FIGURES, counts
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.landmarks.detect import detector_of_process
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import CROP_SCALE, crop_boxes, from_crop, to_crop
from occlufacediff.landmarks.store import read_clip
from occlufacediff.landmarks.topology import MESH_POINTS
from occlufacediff.landmarks.track import track_face
from occlufacediff.media.frames import read_frames
from occlufacediff.occlusion.occlude import draw_span
from occlufacediff.occlusion.occluder_images import draw_object, occluder_digests
from occlufacediff.prediction.observation import FaceWatching
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.visibility.moving import PaintedOccluder, draw_moving, face_motion, skin_colour, with_path
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

Frame = NDArray[np.uint8]


def paint_subject(
    subject: str,
    manifest: Path,
    video_index: Path,
    clips: Path,
    painted_h5: Path,
    index_csv: Path,
    *,
    settings: EvaluationSettings,
    landmarks: LandmarkSettings,
    seed: int,
    crop_scale: float = CROP_SCALE,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Paint an occluder into each scored clip of a subject and write what is seen and what is true.

    See `evaluation.painted` for the file. The index has the clip's ``occluder`` and the counts of hidden landmarks
    that `evaluation.visibility_counts` needs. A clip in which no face is found has the reason ``no_face``. The occluder
    depends on ``seed`` and the name of the clip only.

    Args:
        subject: its name.
        manifest: manifest of the data set.
        video_index: index of the subject's videos at 25 fps, which are beside it.
        clips: clip store of the subject.
        painted_h5: painted clips.
        index_csv: index of the painted clips.
        settings: clips, spans and occluders (`EvaluationSettings.of_painting`).
        landmarks: of the detector.
        seed: of occluders.
        crop_scale: edge of a crop relative to the landmarks, as in the crop stage.
        workers: processes.
        scheduler: address of a Dask scheduler; None: processes of this machine.
        chunk: of `workflow.chunks`: only that chunk's clips are processed, and only their parts are written.

    Raises:
        AssetError: a file is missing or damaged.
        ConfigError: a picture of an object is not usable.
    """
    names = [clip for _, clip in scored_clips(manifest, settings, subject).rows.rows]
    videos = {row["clip"]: video_index.parent / row["video"] for row in usable(read_index(video_index))}
    missing = [name for name in names if name not in videos]
    if missing:
        raise AssetError(
            f"{video_index}: clip {missing[0]} is missing, which {manifest} lists; convert the videos again"
        )
    parts = parts_folder(painted_h5)
    made_from = key(
        settings,
        landmarks,
        seed,
        crop_scale,
        occluder_digests(None, ["natural"], settings.occlusion.occluders),
        sha256(occlusion_weights()),
        fingerprint("occlufacediff.stages.paint_occluders"),
    )
    with h5py.File(clips, "r") as file:
        seen = {name: hashlib.sha256(file[name]["landmarks"][()].tobytes()).hexdigest() for name in names}
    rows = run_shard(
        of_chunk(names, chunk),
        partial(_paint, subject, videos, clips, settings, landmarks, seed, crop_scale),
        parts,
        lambda name: key(made_from, sha256(videos[name]) if videos[name].is_file() else "", seen[name]),
        inputs=lambda name: [videos[name]],
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} occluders",
    )
    if chunk is not None:
        return
    assemble(painted_h5, rows, parts, {"subject": subject})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _paint(
    subject: str,
    videos: dict[str, Path],
    clips: Path,
    settings: EvaluationSettings,
    landmarks: LandmarkSettings,
    seed: int,
    crop_scale: float,
    name: str,
    part: Path,
) -> Row:
    with h5py.File(clips, "r") as file:
        stored = read_clip(file[name])
    points = from_crop(stored.landmarks[:, :MESH_POINTS], stored.crop_boxes)
    frames = read_frames(videos[name], threads=1)
    first = next(frames)
    occluder = _occluder(f"{subject}/{name}", first, points, settings, seed)
    with closing(OcclusionFinder()) as finder:
        watching = FaceWatching(detector_of_process(landmarks), finder, crop_scale)
        track = track_face(_painted(chain([first], frames), occluder, len(points), videos[name]), watching)
    if not track.found.any():
        raise ClipError("no_face", f"{videos[name]}: no face was found in any frame under the painted occluder")
    filled, _ = fill_missing(track.landmarks)
    boxes = crop_boxes(filled, crop_scale)
    recorded = np.ones(points.shape[:2], bool) if stored.lmk_visible is None else stored.lmk_visible > 0
    visibility = watching.of_faces(track.face_index)
    painted = PaintedClip(
        occluder=occluder.kind,
        moving=with_path(occluder.moving, stored.crop_boxes),
        lmk_2d=to_crop(filled[:, :MESH_POINTS], boxes).astype(np.float32),
        boxes=boxes.astype(np.float32),
        found=~visibility.hidden,
        certain=~visibility.uncertain,
        true=~occluder.covers(points),
        detected=track.found,
    )
    with new_hdf5(part) as file:
        painted.write(file["/"])
    return {"occluder": occluder.kind} | counts(painted.found & track.found[:, None], painted.true & recorded)


def _occluder(
    clip_id: str, first: Frame, points: NDArray[np.floating], settings: EvaluationSettings, seed: int
) -> PaintedOccluder:
    """The occluder of a clip with landmarks (T, 468, 2), pixels."""
    rng = rng_for(seed, clip_id, "natural")
    count = len(points)
    span = (0, count) if "natural" in settings.occlusion.whole_clip else draw_span(count, rng, settings.occlusion)
    kind, picture = str(settings.natural_occluders[int(rng.integers(len(settings.natural_occluders)))]), None
    if settings.occlusion.occluders is not None:
        kind, picture = "picture", draw_object(Path(settings.occlusion.occluders), rng)
    return draw_moving(kind, face_motion(points), skin_colour(first, points[0]), span, rng, picture)


def _painted(frames: Iterator[Frame], occluder: PaintedOccluder, count: int, video: Path) -> Iterator[Frame]:
    """Frames with the occluder; ClipError for a video of another length than its landmarks."""
    number = -1
    for number, frame in enumerate(frames):
        if number < count:
            yield occluder.paint(frame, number)
    if number + 1 != count:
        raise ClipError(
            "broken_video", f"{video}: {number + 1} frames for {count} frames of landmarks; convert it again"
        )
