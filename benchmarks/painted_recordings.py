"""Measures the lip error under hands that are painted over the mouths of clear recordings.

    python benchmarks/painted_recordings.py --recordings FOLDER --head resources/heads/open-*.npz

The truth is the fit to the landmarks of the clear recording. A rendered hand moves over the mouth, follows the head
and leaves again. The landmarks are detected under the hand, and the motion is predicted twice from them: with the
visibility that the program finds, and with the true one. Lip errors are those of the lip vertices of the head model,
with the true identity, in frames in which the hand covers a part of the mouth.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.occluders import OCCLUDERS
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.errors import ClipError
from occlufacediff.evaluation.metrics import vertex_errors
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.fit import FitResult, fit_clip
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks.normalise import from_crop
from occlufacediff.media.audio import read_waveform
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import FPS
from occlufacediff.prediction.head_fit import fit_head
from occlufacediff.prediction.hearing import Listening, hear
from occlufacediff.prediction.motion import reconstruct_motion
from occlufacediff.prediction.observation import Observation, observe
from occlufacediff.prediction.pipeline import Predictor
from occlufacediff.prediction.progress import no_progress
from occlufacediff.prediction.speech import Speech, needs_words
from occlufacediff.prediction.visibility import find_visibility
from occlufacediff.threads import limit_threads
from occlufacediff.visibility.finder import FoundVisibility, OcclusionFinder
from occlufacediff.visibility.moving import PaintedOccluder, draw_moving, face_motion, skin_colour
from occlufacediff.weights import open_weights

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
#: Part of the clip in which the occluder is there.
SPAN = (0.2, 0.85)
#: Draws until an occluder covers half of the mouth in a third of its frames.
DRAWS = 40


@dataclass(frozen=True)
class LipErrors:
    """Errors of one clip.

    Attributes:
        clip: name of the video.
        frames: frames in which the occluder covers a part of the mouth.
        found, given: mean distance of the lip vertices in these frames, mm, by the source of visibility.
        most_found, most_given: mean over lip vertices of their largest distance in the clip, mm (LVE).
        precision, recall: of the landmarks of the mouth that are found hidden.
    """

    clip: str
    frames: int
    found: float
    given: float
    most_found: float
    most_given: float
    precision: float
    recall: float


def draw_over_mouth(kind: str, points: Float, first: NDArray[np.uint8], name: str, seed: int) -> PaintedOccluder:
    """An occluder of the mouth; the draw depends on the seed and the name only.

    Args:
        kind: of `config.occluders.OCCLUDERS`.
        points: (T, 468, 2) landmarks of the clear clip, pixels.
        first: (H, W, 3) its first frame.
        name: of the clip.
        seed: of the draw.
    """
    count = len(points)
    span = int(SPAN[0] * count), int(SPAN[1] * count)
    motion, skin = face_motion(points), skin_colour(first, points[0])
    for number in range(DRAWS):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
        occluder = draw_moving(kind, motion, skin, span, rng)
        mouth = occluder.covers(points)[:, LIPS].mean(axis=1)
        if (mouth > 0.5).sum() >= (span[1] - span[0]) / 3:
            break
    return occluder


def lip_errors(predictor: Predictor, truth: FitResult, motion: Float) -> NDArray[np.floating]:
    """Distances (T, V) of the lip vertices, mm; both heads have the true identity and no rotation of the head."""
    still = np.zeros_like(truth.global_pose)
    lips = predictor.head.regions["lips"]
    true, made = (
        vertices_numpy(predictor.head, truth.shape, exp, still, jaw)[:, lips]
        for exp, jaw in ((truth.exp, truth.jaw), (motion[:, :-3], motion[:, -3:]))
    )
    return vertex_errors(true, made)


def predicted(predictor: Predictor, video: Path, seen: Observation, seed: int) -> Float:
    """Motion (T, E + 3) of a video from an observation and its visibility."""
    settings, networks = predictor.settings, predictor.networks
    visibility = find_visibility(video, seen, [], kind="none", settings=settings.region, seed=seed)
    fit = fit_head(predictor.basis, seen, visibility, settings=predictor.reconstruction)
    listening = Listening(
        silence_db=settings.silence_db,
        only_speech=settings.only_speech,
        phones=networks.uses_phones,
        words=needs_words(networks, settings.adaptation),
    )
    heard = hear(probe(video), seen.frames, listening)
    speech = Speech(heard.waveform, heard.audio.log_mel, heard.transcripts, heard.features)
    return reconstruct_motion(
        networks, predictor.basis, seen, visibility, fit.result, speech, use_audio=heard.used, clip_id=video.stem,
        seed=seed, settings=settings, reconstruction=predictor.reconstruction,
    ).values  # fmt: skip


def watched(video: Path, finder: OcclusionFinder | None) -> Observation:
    """The observation of a video by the default detector."""
    return observe(
        probe(video), landmarks=LandmarkSettings(), crop=CropSettings(), min_seconds=0.2, progress=no_progress,
        finder=finder,
    )  # fmt: skip


def measure(predictor: Predictor, video: Path, name: str, kind: str, seconds: float, seed: int) -> LipErrors | None:
    """Paint an occluder over a recording and predict its motion; None if the recording has no usable truth.

    Raises:
        ClipError: the video cannot be read, or no face is found under the occluder.
    """
    with TemporaryDirectory() as folder:
        frames = list(islice(read_frames(video), round(seconds * FPS)))
        size = frames[0].shape[1] // 2 * 2, frames[0].shape[0] // 2 * 2
        info = probe(video)
        audio = read_waveform(video, info=info) if info.audio is not None else None
        clear, painted = Path(folder, "clear.mp4"), Path(folder, f"{video.stem}.mp4")
        _write(clear, frames, size, None)
        seen = watched(clear, None)
        if len(frames) != seen.frames or not seen.found.all():
            return None
        truth = fit_clip(
            predictor.basis, seen.lmk_2d, settings=predictor.reconstruction, boxes=seen.boxes, visible=seen.known
        )
        if truth.error_px > predictor.reconstruction.bad_fit_px:
            return None
        points = from_crop(seen.lmk_2d, seen.boxes)
        occluder = draw_over_mouth(kind, points, frames[0], name, seed)
        _write(painted, [occluder.paint(frame, number) for number, frame in enumerate(frames)], size, audio)
        true = occluder.covers(points)
        under = watched(painted, OcclusionFinder())
        assert under.seen is not None
        given = FoundVisibility((~true).astype(np.float32), true, true)
        errors = [
            lip_errors(predictor, truth, predicted(predictor, painted, one, seed))
            for one in (under, replace(under, seen=given))
        ]
    hidden = true[:, LIPS]
    called = (under.seen.hidden | ~under.known)[:, LIPS]
    chosen = hidden.any(axis=1)
    both = int((hidden & called).sum())
    means = [float(one[chosen].mean()) for one in errors]
    most = [float(one.max(axis=0).mean()) for one in errors]
    ratios = both / max(int(called.sum()), 1), both / max(int(hidden.sum()), 1)
    return LipErrors(name, int(chosen.sum()), means[0], means[1], most[0], most[1], *ratios)


def _write(path: Path, frames: list[NDArray[np.uint8]], size: tuple[int, int], audio: Float | None) -> None:
    with VideoWriter(path, FPS, size, audio=audio, crf=10) as writer:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[: size[1], : size[0]]))


def summary(found: list[LipErrors]) -> str:
    """Table of the clips, with the means over frames and over clips."""
    lines = [
        "| clip | frames | found, mm | given, mm | LVE found | LVE given | mouth precision | mouth recall |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        lines.append(
            f"| {one.clip} | {one.frames} | {one.found:.2f} | {one.given:.2f} | {one.most_found:.2f} | "
            f"{one.most_given:.2f} | {one.precision:.2f} | {one.recall:.2f} |"
        )
    weights = [one.frames for one in found]
    for name, found_mm, given_mm in (
        ("mean over frames", [one.found for one in found], [one.given for one in found]),
        ("mean LVE", [one.most_found for one in found], [one.most_given for one in found]),
    ):
        pair = [
            float(np.average(values, weights=weights if "frames" in name else None)) for values in (found_mm, given_mm)
        ]
        lines.append(f"{name}: found {pair[0]:.2f} mm, given {pair[1]:.2f} mm ({100 * (pair[0] / pair[1] - 1):+.1f} %)")
    return "\n".join(lines)


def main() -> None:
    """Measure all videos of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, required=True, help="folder of clear videos")
    parser.add_argument("--head", type=Path, required=True, help="head model of the checkpoint")
    parser.add_argument("--checkpoint", type=Path, help="motion_prior/ and denoiser/; default: the open weights")
    parser.add_argument("--occluder", choices=[kind for kind in OCCLUDERS if kind != "mask"], default="hand")
    parser.add_argument("--seconds", type=float, default=4.0, help="how much of each video is used")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    limit_threads()
    predictor = Predictor(options.checkpoint or open_weights(), options.head, settings=PredictionSettings())
    found = []
    for video in sorted(path for path in options.recordings.rglob("*") if path.is_file()):
        name = str(video.relative_to(options.recordings))
        try:
            one = measure(predictor, video, name, options.occluder, options.seconds, options.seed)
        except ClipError as error:
            print(f"{name}: left out, {error}", file=sys.stderr)
            continue
        if one is None:
            print(f"{name}: left out, a frame shows no face or the fit misses it", file=sys.stderr)
            continue
        print(f"{name}: {one.found:.2f} mm found, {one.given:.2f} mm given", file=sys.stderr)
        found.append(one)
    if not found:
        sys.exit(f"{options.recordings}: no usable video")
    print(summary(found))


if __name__ == "__main__":
    main()
