"""Training speed: the published preset with its real loader against a plain loop, in one run.

``python benchmarks/training.py [--quick] [--device auto] [--batch 4] [--steps 2] [--workers 0] [--precision float32]``

The plain loop is the reference procedure: one HDF5 file per clip that is opened for each window and read whole, masks
in loops over frames, float32, no loader processes. Ours has packed and mapped clips, vectorised masks, the chosen
precision and loader processes. Both train the same networks on the same clips, each in a process of its own. The last
line is one JSON object: windows per second of the loader alone and of the whole training, peak memory, and ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from packed import in_process
from published_setup import (
    Batch,
    Steps,
    head_of_flames_size,
    open_clips,
    published_settings,
    published_task,
    random_clips,
)

from occlufacediff.datasets.packed import PackedClips
from occlufacediff.device import pick_device
from occlufacediff.training.parallel import product_precision

WINDOW = 64
ARRAYS = ("exp", "jaw", "global_pose", "cam", "shape", "lmk_2d", "waveform")


def write_plain(clips: PackedClips, folder: Path) -> None:
    """One HDF5 file per clip."""
    folder.mkdir()
    for index in range(len(clips)):
        with h5py.File(folder / f"{index}.h5", "w") as file:
            for name in ARRAYS:
                file[name] = np.asarray(getattr(clips[index], name))


def plain_mask(landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask of the kinds of the published recipe: everything, some frames, or a box that follows a landmark."""
    mask = np.ones(landmarks.shape[:2], np.float32)
    draw = rng.random()
    if draw < 0.15:
        mask[:] = 0
    elif draw < 0.3:
        for frame in rng.integers(0, len(mask), len(mask) // 2):
            mask[frame] = 0
    else:
        start = int(rng.integers(0, 34))
        stop = start + int(rng.integers(30, 65 - start))
        point, half = int(rng.integers(468)), rng.uniform(0.25, 0.75, 2)
        for frame in range(start, stop):
            centre = landmarks[frame, point]
            mask[frame][(np.abs(landmarks[frame] - centre) < half).all(axis=-1)] = 0
    return mask


def plain_batches(folder: Path, clips: int, size: int) -> Iterator[Batch]:
    """Batches without end, as the reference procedure makes them."""
    rng = np.random.default_rng(0)
    while True:
        samples = []
        for _ in range(size):
            with h5py.File(folder / f"{rng.integers(clips)}.h5", "r") as file:
                whole = {name: file[name][()] for name in ARRAYS}
            start = int(rng.integers(0, len(whole["exp"]) - WINDOW)) if len(whole["exp"]) > WINDOW else 0
            sample = {name: whole[name][start : start + WINDOW] for name in ARRAYS if name not in ("shape", "waveform")}
            sample["shape"] = whole["shape"]
            sample["waveform"] = whole["waveform"][640 * start : 640 * (start + WINDOW)]
            sample["lmk_target"] = sample["lmk_2d"]
            sample["lmk_mask"] = plain_mask(sample["lmk_2d"], rng)
            masked = np.zeros(WINDOW, np.float32)
            for first in rng.choice(54, 2, replace=False):
                masked[first : first + 10] = 1
            sample["audio_masked"] = masked
            samples.append(sample)
        yield {name: torch.stack([torch.from_numpy(s[name].copy()) for s in samples]) for name in samples[0]}


def measure(folder: Path, kind: str, options: dict[str, Any], queue: Any) -> None:
    """Windows per second and memory of one of both loops."""
    torch.set_num_threads(options["threads"])
    device = torch.device(options["device"])
    clips = open_clips(folder)
    ours = kind == "ours"
    settings = published_settings(
        small=options["quick"],
        batch_size=options["batch"],
        accumulate=1,
        precision=options["precision"] if ours else "float32",
        loader_workers=options["workers"] if ours else 0,
    )
    task = published_task(settings, head_of_flames_size(small=options["quick"]), clips, device)
    steps, count, loader_batches = options["steps"], options["batch"], 8

    def batches(number: int) -> Iterator[Batch]:
        if ours:
            return iter(task.batches(0, number))
        return islice(plain_batches(folder / "plain", len(clips), count), number)

    loader = batches(loader_batches + 1)
    next(loader)
    begun = time.perf_counter()
    for _ in loader:
        pass
    loading = loader_batches * count / (time.perf_counter() - begun)
    with product_precision(settings.loop):
        training = Steps(task, "visual")
        source = batches(steps + 1)
        training.run(source, 1)
        if device.type == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        training.run(source, steps)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begun
    result = {
        "loader_windows_per_s": round(loading, 1),
        "windows_per_s": round(steps * count / seconds, 3),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if device.type == "cuda":
        result["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    queue.put(result)


def main() -> None:
    """Measure both loops and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small wav2vec2 and head")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--precision", default="float32", choices=["float32", "tf32", "bf16"])
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    options = vars(arguments) | {"device": device.type, "threads": int(os.environ.get("OMP_NUM_THREADS", "1"))}
    folder = Path(tempfile.mkdtemp(prefix="training_benchmark_"))
    try:
        clips = random_clips(folder / "data", 94)
        write_plain(clips, folder / "data" / "plain")
        result: dict[str, Any] = {"device": platform.processor() or "cpu", **options}
        if device.type == "cuda":
            result["device"] = torch.cuda.get_device_name()
        for kind in ("plain", "ours"):
            result[kind] = in_process(measure, folder / "data", kind, options)
            print(f"{kind}: {result[kind]}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result["ratios"] = {name: round(result["ours"][name] / result["plain"][name], 2) for name in result["plain"]}
    print(f"ours / plain: {result['ratios']}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
