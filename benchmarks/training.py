"""Training speed: the published preset with its real loader against a plain loop, in one run.

``python benchmarks/training.py [--quick] [--device auto] [--batch 4] [--steps 2] [--workers 0] [--precision float32]
[--loader-batches 64]``

The plain loop is the reference procedure: one HDF5 file per clip that is opened for each window and read whole, masks
in loops over frames, float32, no loader processes, and a bare loop. Ours is the project's training loop
(`occlufacediff.training.loop.train`: Lightning Fabric, EMA, check of finite losses, gradient norm) on packed
clips, with vectorised masks, the chosen precision and loader processes. Both train the same networks on the same clips
in a visual phase, each in a process of its own; the first step, validation and saving are not counted. The last line is
one JSON object: windows per second of the loader alone and of the whole training, the same per second of the measuring
process' processor time (for busy machines; not of a GPU or of loader processes), peak memory, and ratios.
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
from collections.abc import Iterable, Iterator
from dataclasses import replace
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
from occlufacediff.training.loop import train
from occlufacediff.training.parallel import product_precision
from occlufacediff.training.published_denoiser import PublishedDenoiserTask
from occlufacediff.training.state import Course
from occlufacediff.training.task import Losses

WINDOW = 64
#: The published loop has no EMA; ours is measured with it, as our recipe uses it.
EMA_DECAY = 0.999
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


class Clock:
    """Measures the time of steps from the batches that a loop takes: the first step is not counted.

    Args:
        device: whose work is waited for.
        first: micro-batches of the first step.
    """

    def __init__(self, device: torch.device, first: int = 1) -> None:
        self.device, self.first = device, first
        self.begun = self.ended = (0.0, 0.0)

    def now(self) -> tuple[float, float]:
        """The time, and the processor time of this process, after all work on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def watched(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; the clock starts before the second step asks for its first one."""
        source = iter(batches)
        yield from islice(source, self.first)
        self.begun = self.now()
        yield from source


class TimedTask(PublishedDenoiserTask):
    """The published training of the denoiser with a clock, which stops where the loop validates after the last step."""

    clock: Clock

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """The batches, watched."""
        return self.clock.watched(super().batches(first, last))

    def validate(self) -> Losses:
        """Stop the clock; no validation, because the plain loop has none."""
        self.clock.ended = self.clock.now()
        return {"loss": torch.zeros(())}


def loading(batches: Iterator[Batch], options: dict[str, Any]) -> tuple[float, float]:
    """Windows per second of a loader alone, after the batches that loader processes make while they start.

    The second figure is per second of this process' processor time; it says nothing about loader processes.
    """
    warm_up, count = 1 + 2 * options["workers"], options["loader_batches"]
    for _ in islice(batches, warm_up):
        pass
    begun, processor = time.perf_counter(), time.process_time()
    taken = options["batch"] * sum(1 for _ in islice(batches, count))
    return taken / (time.perf_counter() - begun), taken / (time.process_time() - processor)


def measure(folder: Path, kind: str, options: dict[str, Any], queue: Any) -> None:
    """Windows per second and memory of one of both loops."""
    torch.set_num_threads(options["threads"])
    device = torch.device(options["device"])
    clips = open_clips(folder)
    steps, count = options["steps"], options["batch"]
    settings = published_settings(
        small=options["quick"], batch_size=count, accumulate=1, max_steps=steps + 1, validate_every=steps + 1,
        save_every=steps + 2,
    )  # fmt: skip
    clock = Clock(device)
    asset = head_of_flames_size(small=options["quick"])
    if kind == "ours":
        loop = {"precision": options["precision"], "loader_workers": options["workers"], "ema_decay": EMA_DECAY}
        settings = replace(settings, loop=replace(settings.loop, **loop))
        task = published_task(settings, asset, clips, device, kind=TimedTask)
        task.clock = clock
        loader = iter(task.batches(0, 1 + 2 * options["workers"] + options["loader_batches"]))
        speed = loading(loader, options)
        del loader
        # Lightning Fabric, EMA, check of finite losses, gradient norm, progress bar, history and the state at the end.
        train(task, settings=settings.loop, out_dir=folder / "run", course=Course({}, {}), seed=1, device=device)
    else:
        plain = published_task(settings, asset, clips, device)
        speed = loading(plain_batches(folder / "plain", len(clips), count), options | {"workers": 0})
        with product_precision(settings.loop):
            batches = plain_batches(folder / "plain", len(clips), count)
            Steps(plain, "visual").run(clock.watched(batches), steps + 1)
            clock.ended = clock.now()
    seconds, processor = (end - begin for begin, end in zip(clock.begun, clock.ended, strict=True))
    result = {
        "loader_windows_per_s": round(speed[0], 1),
        "loader_windows_per_cpu_s": round(speed[1], 1),
        "windows_per_s": round(steps * count / seconds, 3),
        "windows_per_cpu_s": round(steps * count / processor, 3),
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
    parser.add_argument("--loader-batches", type=int, default=64, help="batches of the loader alone")
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
