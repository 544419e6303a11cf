"""Measures what speech adds to a hidden mouth in a live session.

    python benchmarks/live_speech.py --videos FOLDER/*.mp4

The landmarks below the tip of the nose are hidden in the second half of each video. The lips' motion with and without
speech is compared with the fit to all landmarks, after it was moved back by the look-ahead. Videos without audio or
with fewer than 50 frames with a face are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import ClipError
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS, MESH_POINTS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.normalise import crop_boxes
from occlufacediff.live.head_fit import KNOWN, CausalFit, live_settings
from occlufacediff.live.identity import IdentityLearner
from occlufacediff.live.speech import SpeechThread
from occlufacediff.media.audio import read_waveform
from occlufacediff.media.frames import read_frames
from occlufacediff.media.rates import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from occlufacediff.stages.open_head import open_head
from occlufacediff.threads import limit_threads

NOSE_TIP = 1


def faces_of(video: Path, most: int) -> list[np.ndarray | None]:
    """Landmarks (478, 2) of each frame, None without a face."""
    found = []
    with make_detector(LandmarkSettings(static=False, max_faces=1, small_faces=False)) as detector:
        for frame in read_frames(video):
            faces = detector.detect(frame)
            found.append(faces[0] if len(faces) else None)
            if len(found) == most:
                break
    return found


def fitted(basis: LandmarkBasis, faces: list[np.ndarray | None], hidden_from: int):
    """Motion (T, E + 3) and known share (T, E + 3) of a session in which the mouth is hidden from a frame on."""
    settings = live_settings(ReconstructionSettings())
    fit, learner = CausalFit(basis, settings), IdentityLearner(basis, settings)
    motion, known = [], []
    for number, points in enumerate(faces):
        if points is None:
            pose = fit.coast(1 / FPS)
        else:
            visible = np.ones(MESH_POINTS, bool)
            if number >= hidden_from:
                visible = points[:MESH_POINTS, 1] <= points[NOSE_TIP, 1]
            box = crop_boxes(points).astype(np.float32)
            learner.add(points, visible, box, 1 / FPS)
            learner.wait()
            identity = learner.take()
            if identity is not None:
                fit.set_identity(identity)
            pose = fit.step(points, visible, box, 1 / FPS)
        motion.append(np.concatenate([pose.exp, pose.jaw]))
        known.append(pose.known)
    return np.array(motion), np.array(known), fit.shape


def heard(names: tuple[str, ...], waveform: np.ndarray, frames: int, look_ahead: float) -> np.ndarray:
    """Motion (T, E + 3) that the speech adds, at the frames of the video that it belongs to."""
    samples = np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    with SpeechThread(names, look_ahead) as speech:
        rows = []
        for number in range(frames):
            piece = samples[number * SAMPLES_PER_FRAME : (number + 1) * SAMPLES_PER_FRAME]
            if len(piece) < SAMPLES_PER_FRAME:
                piece = np.pad(piece, (0, SAMPLES_PER_FRAME - len(piece)))
            speech.hear(piece, number / FPS)
            now = number / FPS + SAMPLES_PER_FRAME / SAMPLE_RATE
            while speech.moment < now - look_ahead - 1e-6:
                time.sleep(0.0005)
            rows.append(speech.motion(now))
    # Row k belongs to the moment (k + 1) / FPS - look_ahead.
    times = (np.arange(frames) + 1) / FPS - look_ahead
    return np.stack([np.interp(np.arange(frames) / FPS, times, column) for column in np.array(rows).T], axis=1)


def main() -> None:
    """Measure all videos and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--look-ahead", type=float, nargs="*", default=[0.1, 0.3, 0.6])
    parser.add_argument("--most-frames", type=int, default=300)
    options = parser.parse_args()
    limit_threads()
    head = HeadAsset.load(open_head(print))
    basis = LandmarkBasis.of(head)
    ends, lips = basis.place[[INNER_LIP_TOP, INNER_LIP_BOTTOM]], basis.rows_of(LIPS)
    results: dict[str, list[tuple[float, float, float]]] = {}
    videos = 0
    for video in options.videos:
        try:
            faces = faces_of(video, options.most_frames)
            waveform = read_waveform(video)
        except ClipError as error:
            print(error, file=sys.stderr)
            continue
        frames = len(faces)
        if sum(one is not None for one in faces) < 50 or np.abs(waveform).max(initial=0) < 1e-3:
            continue
        videos += 1
        true, _, shape = fitted(basis, faces, frames)
        causal, known, _ = fitted(basis, faces, frames // 2)
        part = slice(frames // 2 + 5, frames - round(FPS * max(options.look_ahead)))

        def points(motion: np.ndarray, shape: np.ndarray = shape, part: slice = part) -> np.ndarray:
            at = basis.local(shape, motion[part, :-3].astype(float), motion[part, -3:].astype(float))
            return 1000 * at - 1000 * at[:, ends].mean(axis=(0, 1))

        wanted = points(true)
        for look_ahead in [None, *options.look_ahead]:
            motion = causal.copy()
            if look_ahead is not None:
                motion += (known < KNOWN) * heard(head.expression_names, waveform, frames, look_ahead)
                motion[:, :-3] = np.clip(motion[:, :-3], 0, 1)
                motion[:, -3] = np.maximum(motion[:, -3], 0)
            got = points(motion)
            gaps = [np.linalg.norm(at[:, ends[0]] - at[:, ends[1]], axis=-1) for at in (wanted, got)]
            agree = float(np.corrcoef(gaps)[0, 1]) if min(gap.std() for gap in gaps) > 1e-6 else 0.0
            error = float(np.linalg.norm(wanted - got, axis=-1)[:, lips].mean())
            name = "without speech" if look_ahead is None else f"{look_ahead:g} s"
            results.setdefault(name, []).append((agree, float(gaps[1].std() / gaps[0].std()), error))
        print(f"{video.name}: {frames} frames", file=sys.stderr)
    print(f"{videos} videos, mouth hidden in the second half; means over videos")
    print("| look-ahead | correlation of lip openings | their spread, share of the true one | lip error |")
    print("|---|---|---|---|")
    for name, rows in results.items():
        agree, spread, error = np.mean(rows, axis=0)
        print(f"| {name} | {agree:.2f} | {spread:.2f} | {error:.2f} mm |")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
