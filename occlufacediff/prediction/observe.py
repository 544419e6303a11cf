"""First pass over a video: landmarks, crop boxes and sound; frames are seen one at a time and not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.errors import ClipError
from occlufacediff.landmarks.detect import make_detector, track_face
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.landmarks.topology import MESH_POINTS
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import MediaInfo
from occlufacediff.media.rates import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from occlufacediff.media.sound import fit_to_frames, level_db, log_mel, read_waveform

#: Called with a step's name, what is done and what there is to do (None: unknown).
Progress = Callable[[str, int, int | None], None]
#: Differences between the lengths of sound and picture up to this are usual, in seconds.
WORTH_SAYING_S = 0.2
#: Sound after the picture's end that is decoded, in seconds: by damaged time stamps it may last for hours.
MOST_SURPLUS_S = 60.0


@dataclass(frozen=True, eq=False)
class Observation:
    """What is seen in a video of T frames at 25 fps.

    Attributes:
        lmk_2d: (T, 468, 2) float32 crop coordinates, gaps interpolated; 0 where a detector never gives the point.
        boxes: (T, 3) float32 crop boxes ``(x0, y0, size)``, source pixels.
        known: (T, 468) True where the detector gave the point in this very frame.
        n_faces: (T,) number of faces found.
        damaged: pictures of the file that could not be decoded.
    """

    lmk_2d: NDArray[np.float32]
    boxes: NDArray[np.float32]
    known: NDArray[np.bool_]
    n_faces: NDArray[np.int32]
    damaged: int = 0

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.known)


@dataclass(frozen=True, eq=False)
class Sound:
    """The sound of a video.

    Attributes:
        waveform: (T * 640,) float32 at 16 kHz.
        log_mel: (4 T, 80) float32.
        track: False where the video has no sound track.
        heard: False for no track or silence.
        notes: what a user should know about it.
    """

    waveform: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    track: bool
    heard: bool
    notes: tuple[str, ...]


def observe(
    info: MediaInfo, *, landmarks: LandmarkSettings, crop: CropSettings, min_seconds: float, progress: Progress
) -> Observation:
    """Find the face in every frame of a video that was probed.

    Raises:
        ClipError: ``no_video``, ``broken_video``, ``too_short`` or ``no_face``; the message names the file.
    """
    video, track = info.path, info.require_video()
    expected = round(track.duration_s * FPS) if track.duration_s else None

    damaged: list[None] = []

    def watched() -> Iterator[NDArray[np.uint8]]:
        for number, frame in enumerate(read_frames(video, damage=lambda: damaged.append(None))):
            yield frame
            progress("landmarks", number + 1, expected)

    with make_detector(landmarks) as detector:
        face = track_face(watched(), detector)
    count = len(face.landmarks)
    if count < min_seconds * FPS:
        raise ClipError(
            "too_short", f"{video}: lasts {count / FPS:.2f} s; give a video of at least {min_seconds:g} s of picture"
        )
    if not face.found.any():
        raise ClipError("no_face", f"{video}: no face was found in its {count} frames; give a video that shows one")
    filled, _ = fill_missing(face.landmarks)
    boxes = crop_boxes(filled, crop.scale)
    lmk_2d = to_crop(filled[:, :MESH_POINTS], boxes)
    known = np.isfinite(face.landmarks[:, :MESH_POINTS]).all(axis=2)
    return Observation(
        lmk_2d=np.nan_to_num(lmk_2d).astype(np.float32),
        boxes=boxes.astype(np.float32),
        known=known,
        n_faces=face.n_faces,
        damaged=len(damaged),
    )


def listen(info: MediaInfo, frames: int, *, silence_db: float) -> Sound:
    """Read the sound of a video that was probed, cut or padded to its frames; silence where there is none.

    Raises:
        ClipError: ``broken_audio``: nothing decodes, or the sound begins more than a minute after the picture's end.
    """
    if info.audio is None:
        nothing = np.zeros(frames * SAMPLES_PER_FRAME, dtype=np.float32)
        note = "the video has no sound; only the picture tells of hidden motion"
        return Sound(nothing, log_mel(nothing), track=False, heard=False, notes=(note,))
    notes = []
    if info.audio.tracks > 1:
        notes.append(f"the file has {info.audio.tracks} sound tracks; the first is heard")
    most = frames / FPS + MOST_SURPLUS_S
    waveform, added = fit_to_frames(read_waveform(info.path, info=info, max_seconds=most), frames)
    if abs(added) > WORTH_SAYING_S * SAMPLE_RATE:
        kind = "shorter" if added > 0 else "longer"
        least = "at least " if -added / SAMPLE_RATE > MOST_SURPLUS_S - WORTH_SAYING_S else ""
        notes.append(f"the sound is {least}{abs(added) / SAMPLE_RATE:.2f} s {kind} than the picture")
    heard = level_db(waveform) >= silence_db
    if not heard:
        notes.append("the sound is silent; only the picture tells of hidden motion")
    return Sound(waveform, log_mel(waveform), track=True, heard=heard, notes=tuple(notes))
