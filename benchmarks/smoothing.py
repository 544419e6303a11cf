"""Jitter, lip closures and blinks of motions, by smoothing: `python benchmarks/smoothing.py MOTION.npz ...`.

The files are ``motion.npz`` of `predict`. With ``--truth FILE.h5 CLIP`` (true motion of the synthetic data set, such as
``results/synthetic/truth/M104.h5 happy/level_1/001``), the one motion given is compared with the truth too. Prints a
table with a row for each strength, then one JSON object.

- jitter: root mean square of what is faster than 8 Hz, over frames and landmarks before the head rotation, mm; and of
  the head rotation, degrees
- kept: closures and blinks of the motion (minima of lip gap or eyelid gap by 0.5 mm and 1 mm) whose gap changes by less
  than 0.3 mm
- error: mean distance to the landmarks of the truth, mm, and its change from frame to frame, mm; mean angle to the
  truth's head rotation without the mean rotation between both, degrees
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt
from scipy.spatial.transform import Rotation

from occlufacediff.config.names import SMOOTHING
from occlufacediff.export.motion import PosedMotion, posed_motion, read_motion
from occlufacediff.export.resampling import resampled
from occlufacediff.export.smoothing import BLINK_MM, CLOSURE_MM, gap, smoothed
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIDS_OF_EYES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.stages.open_head import open_head

FAST_HZ, KEPT_MM = 8.0, 0.3


def points(basis: LandmarkBasis, motion: PosedMotion) -> np.ndarray:
    """Landmarks (T, L, 3) before the head rotation, mm."""
    shape, exp, jaw = (np.asarray(part, np.float64) for part in (motion.shape, motion.exp, motion.jaw))
    return 1000 * basis.local(shape, exp, jaw)


def fast_part(values: np.ndarray, fps: float) -> float:
    """Root mean square of the part of vectors (T, ..., 3) above `FAST_HZ`."""
    filtered = sosfiltfilt(butter(4, FAST_HZ / (fps / 2), "high", output="sos"), values, axis=0)
    return float(np.sqrt((filtered**2).sum(axis=-1).mean()))


def kept(basis: LandmarkBasis, before: PosedMotion, after: PosedMotion, pairs: Sequence, depth: float) -> np.ndarray:
    """Whether each minimum of a gap is kept."""
    changes = []
    for top, bottom in pairs:
        given, changed = (gap(basis, motion, top, bottom) for motion in (before, after))
        places = find_peaks(-np.pad(given, 1, constant_values=np.inf), prominence=depth)[0] - 1
        changes.append(np.abs(changed - given)[places])
    return np.concatenate(changes) < KEPT_MM


def figures(basis: LandmarkBasis, before: PosedMotion, after: PosedMotion, truth: PosedMotion | None) -> dict:
    """All figures of one motion."""
    row = {
        "jitter_mm": fast_part(points(basis, after), after.fps),
        "jitter_head_deg": np.degrees(fast_part(after.global_pose, after.fps)),
        "closures": kept(basis, before, after, [(INNER_LIP_TOP, INNER_LIP_BOTTOM)], CLOSURE_MM).tolist(),
        "blinks": kept(basis, before, after, LIDS_OF_EYES, BLINK_MM).tolist(),
    }
    if truth is not None:
        frames = min(truth.frames, after.frames)
        # The identity of the motion, so that only the movement differs.
        wanted = points(basis, replace(truth, shape=after.shape))[:frames]
        away = points(basis, after)[:frames] - wanted
        row["error_mm"] = float(np.linalg.norm(away, axis=2).mean())
        turned = Rotation.from_rotvec(truth.global_pose[:frames]).inv() * Rotation.from_rotvec(
            after.global_pose[:frames]
        )
        row["error_head_deg"] = float(np.degrees((turned.mean().inv() * turned).magnitude().mean()))
        row["error_change_mm"] = float(np.linalg.norm(np.diff(away, axis=0), axis=2).mean())
    return row


def joined(rows: list[dict]) -> dict:
    """Means of the figures, and counts of what is kept."""
    out: dict = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if isinstance(values[0], list):
            flags = np.concatenate([np.asarray(value, bool) for value in values])
            out[name], out[f"{name}_kept"] = len(flags), int(flags.sum())
        else:
            out[name] = round(float(np.mean(values)), 4)
    return out


def true_motion(file: Path, clip: str) -> PosedMotion:
    """True motion of a clip at 25 fps."""
    with h5py.File(file) as clips:
        entry = clips[clip]
        exp, jaw, pose, shape = (entry[name][:] for name in ("exp", "jaw", "global_pose", "shape"))
        return resampled(PosedMotion("truth", exp, jaw, pose, shape, float(entry.attrs["fps"])), 25.0)


def main() -> None:
    """Measure all motions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs="+", type=Path)
    parser.add_argument(
        "--truth", nargs=2, action="append", default=[], metavar=("FILE", "CLIP"), help="of each motion"
    )
    parser.add_argument("--head", type=Path)
    arguments = parser.parse_args()
    if arguments.truth and len(arguments.truth) != len(arguments.motions):
        parser.error("--truth: give one for each motion, in the same order, or none")
    head = HeadAsset.load(arguments.head or open_head(print))
    basis = LandmarkBasis.of(head)
    motions = [posed_motion(path, read_motion(path), head) for path in arguments.motions]
    truths = [true_motion(Path(file), clip) for file, clip in arguments.truth] or [None] * len(motions)
    result = {
        strength: joined(
            [
                figures(basis, motion, smoothed(motion, head, strength), truth)
                for motion, truth in zip(motions, truths, strict=True)
            ]
        )
        for strength in SMOOTHING
    }
    for strength, row in result.items():
        print(f"{strength:>7}", "  ".join(f"{name} {value:g}" for name, value in row.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
