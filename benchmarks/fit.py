"""Speed and errors of the landmark fit: `python benchmarks/fit.py [HEAD.npz] [FILE.h5 ...]`.

The files are clip stores (distance of the fit to detected landmarks) or true motion of the synthetic data set
(projected with 0.4 px of noise; distance of the fit to the truth). Without files, smooth random motion with the same
noise is fitted. Times exclude loading. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.schema import Config
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult, fit_clip
from occlufacediff.head.fit_errors import PX
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.media.rates import FPS
from occlufacediff.stages.open_head import workflow_head


@cache
def loaded(path: Path) -> tuple[HeadAsset, LandmarkBasis]:
    """The head and its landmarks, loaded once per process."""
    asset = HeadAsset.load(path)
    return asset, LandmarkBasis.of(asset)


NOISE_PX = 0.4
INNER_LIPS = (13, 14)


@dataclass(frozen=True, eq=False)
class Case:
    """Landmarks (T, 468, 2) and boxes (T, 3) of a clip; if known, the true jaw angle and lip opening (T,)."""

    landmarks: np.ndarray
    boxes: np.ndarray
    jaw: np.ndarray | None = None
    opening: np.ndarray | None = None


def opening(head: Path, shape: np.ndarray, exp: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """Distance (T,) between the inner lips in metres, without head pose."""
    asset, basis = loaded(head)
    points = landmarks_numpy(asset, vertices_numpy(asset, shape, exp, np.zeros_like(jaw), jaw))
    upper, lower = (points[:, np.flatnonzero(np.asarray(basis.indices) == one)[0]] for one in INNER_LIPS)
    return np.linalg.norm(upper - lower, axis=1)


def drawn(head: Path, seed: int, frames: int = 80) -> Case:
    """Smooth random motion with noise, and constant boxes."""
    asset, basis = loaded(head)
    rng = np.random.default_rng(seed)
    time_axis = np.arange(frames)[:, None] / FPS

    def wave(count: int, low: float, high: float) -> np.ndarray:
        turns, phase = rng.uniform(2, 20, count), rng.uniform(0, 6, count)
        return low + (high - low) * (0.5 + 0.5 * np.sin(time_axis * turns + phase))

    shape = 0.8 * rng.normal(size=asset.n_shape)
    exp = np.maximum(wave(asset.n_exp, -0.5, 0.5), 0)
    jaw = np.column_stack([wave(1, 0, 0.25), np.zeros((frames, 2))])
    vertices = vertices_numpy(asset, shape, exp, wave(3, -0.2, 0.2), jaw)
    flat = project_numpy(landmarks_numpy(asset, vertices), np.column_stack([wave(1, 8, 9), wave(2, -0.01, 0.01)]))
    full = np.full((frames, 468, 2), np.nan)
    full[:, basis.indices] = flat + rng.normal(size=flat.shape) * NOISE_PX / PX
    boxes = np.tile([100.0, 100.0, 300.0], (frames, 1))
    return Case(full, boxes, jaw[:, 0], opening(head, shape, exp, jaw))


def projected(head: Path, clip: h5py.Group, seed: int) -> Case:
    """True motion of a synthetic clip, resampled to 25 fps, as landmarks in its crops, with noise."""
    asset, basis = loaded(head)
    count = len(clip["jaw"])
    at = np.arange(0, count - 1, clip.attrs["fps"] / FPS)
    exp, jaw, pose, camera = (
        np.column_stack([np.interp(at, np.arange(count), column) for column in clip[name][()].T]).astype(np.float32)
        for name in ("exp", "jaw", "global_pose", "cam_picture")
    )
    shape = clip["shape"][()]
    points = project_numpy(landmarks_numpy(asset, vertices_numpy(asset, shape, exp, pose, jaw)), camera)
    full = np.full((len(at), 468, 2), np.nan, dtype=np.float32)
    full[:, basis.indices] = (points + 1) * PX
    boxes = crop_boxes(full)
    crops = to_crop(full, boxes)
    noise = np.random.default_rng(seed).normal(size=crops.shape) * NOISE_PX / PX
    return Case(crops + noise, boxes, jaw[:, 0], opening(head, shape, exp, jaw))


def stored(head: Path, path: Path) -> list[Case]:
    """All clips of a clip store or of a file of true motion."""
    found: list[Case] = []
    with h5py.File(path, "r") as file:

        def take(_: str, thing: h5py.Group | h5py.Dataset) -> None:
            if isinstance(thing, h5py.Group) and "landmarks" in thing:
                found.append(Case(thing["landmarks"][()], thing["crop_boxes"][()]))
            elif isinstance(thing, h5py.Group) and "cam_picture" in thing:
                found.append(projected(head, thing, len(found)))

        file.visititems(take)
    return found


def fitted(head: Path, clip: Case) -> FitResult:
    """Fit one clip on one thread."""
    return fit_clip(loaded(head)[1], clip.landmarks, settings=ReconstructionSettings(), boxes=clip.boxes)


def main() -> None:
    """Fit all clips with one process, then with two, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("head", type=Path, nargs="?", default=workflow_head(Config()))
    parser.add_argument("clips", type=Path, nargs="*")
    arguments = parser.parse_args()
    loaded(arguments.head)
    clips = [clip for path in arguments.clips for clip in stored(arguments.head, path)] or [
        drawn(arguments.head, seed) for seed in range(8)
    ]
    frames = sum(len(clip.landmarks) for clip in clips)
    figures: dict[str, float] = {"clips": len(clips), "frames": frames}
    start, start_cpu = time.perf_counter(), time.process_time()
    fits = [fitted(arguments.head, clip) for clip in clips]
    figures["frames_per_second_1_process"] = frames / (time.perf_counter() - start)
    figures["frames_per_cpu_second"] = frames / (time.process_time() - start_cpu)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(fitted, [arguments.head] * 2, clips[:1] * 2))
        start = time.perf_counter()
        list(pool.map(partial(fitted, arguments.head), clips))
        figures["frames_per_second_2_processes"] = frames / (time.perf_counter() - start)
    for name in ("error_px", "lips_px", "opening_correlation"):
        values = np.array([getattr(fit, name) for fit in fits])
        figures[name] = float(np.nanmean(values))
        figures[f"{name}_worst"] = float(np.nanmin(values) if "correlation" in name else np.nanmax(values))
    found = {
        "jaw": lambda fit: fit.jaw[:, 0],
        "opening": lambda fit: opening(arguments.head, fit.shape, fit.exp, fit.jaw),
    }
    for name, of in found.items():
        pairs = [(getattr(clip, name), of(fit)) for fit, clip in zip(fits, clips, strict=True)]
        values = [np.corrcoef(true, ours)[0, 1] for true, ours in pairs if true is not None]
        if values:
            figures[f"true_{name}_correlation"] = float(np.mean(values))
            figures[f"true_{name}_correlation_worst"] = float(np.min(values))
    for name, value in figures.items():
        print(f"{name:32s} {value:10.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
