"""Speed and errors of the landmark fit: `python benchmarks/fit.py [HEAD.npz] [CLIPS.h5 ...]`.

Without clip stores it fits motion drawn here with a known answer (smooth random actions, jaw and pose, 0.4 px noise).
Times count everything but loading. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import PX, FitResult, fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy


@cache
def loaded(path: Path) -> tuple[HeadAsset, LandmarkBasis]:
    """The head and its landmarks, once a process."""
    asset = HeadAsset.load(path)
    return asset, LandmarkBasis.of(asset)


def drawn(head: Path, seed: int, frames: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Landmarks (T, 468, 2) of random smooth motion with noise, boxes that stand still, the true jaw angle (T,)."""
    asset, basis = loaded(head)
    rng = np.random.default_rng(seed)
    time_axis = np.arange(frames)[:, None] / 25

    def wave(count: int, low: float, high: float) -> np.ndarray:
        turns, phase = rng.uniform(2, 20, count), rng.uniform(0, 6, count)
        return low + (high - low) * (0.5 + 0.5 * np.sin(time_axis * turns + phase))

    exp = np.maximum(wave(asset.n_exp, -0.5, 0.5), 0)
    jaw = np.column_stack([wave(1, 0, 0.25), np.zeros((frames, 2))])
    vertices = vertices_numpy(asset, 0.8 * rng.normal(size=asset.n_shape), exp, wave(3, -0.2, 0.2), jaw)
    flat = project_numpy(landmarks_numpy(asset, vertices), np.column_stack([wave(1, 8, 9), wave(2, -0.01, 0.01)]))
    full = np.full((frames, 468, 2), np.nan)
    full[:, basis.indices] = flat + rng.normal(size=flat.shape) * 0.4 / PX
    return full, np.tile([100.0, 100.0, 300.0], (frames, 1)), jaw[:, 0]


def stored(path: Path) -> list[tuple[np.ndarray, np.ndarray, None]]:
    """Landmarks and boxes of all clips of a clip store."""
    found: list[tuple[np.ndarray, np.ndarray, None]] = []
    with h5py.File(path, "r") as file:

        def take(_: str, thing: h5py.Group | h5py.Dataset) -> None:
            if isinstance(thing, h5py.Group) and "landmarks" in thing:
                found.append((thing["landmarks"][()], thing["crop_boxes"][()], None))

        file.visititems(take)
    return found


def fitted(head: Path, clip: tuple[np.ndarray, np.ndarray, np.ndarray | None]) -> FitResult:
    """Fit one clip on one thread."""
    return fit_clip(loaded(head)[1], clip[0], settings=ReconstructionSettings(), boxes=clip[1])


def main() -> None:
    """Fit all clips with one process, then with two, and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("head", type=Path, nargs="?", default=Path("resources/open_head.npz"))
    parser.add_argument("clips", type=Path, nargs="*")
    arguments = parser.parse_args()
    loaded(arguments.head)
    clips = [clip for path in arguments.clips for clip in stored(path)] or [
        drawn(arguments.head, seed) for seed in range(8)
    ]
    frames = sum(len(clip[0]) for clip in clips)
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
    known = [(fit.jaw[:, 0], clip[2]) for fit, clip in zip(fits, clips, strict=True) if clip[2] is not None]
    if known:
        figures["jaw_correlation"] = float(np.mean([np.corrcoef(jaw, truth)[0, 1] for jaw, truth in known]))
    for name, value in figures.items():
        print(f"{name:32s} {value:10.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
