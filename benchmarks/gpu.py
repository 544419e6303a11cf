"""Everything that a check on a GPU needs, in one command under 8 minutes: the published training, and sampling.

``python benchmarks/gpu.py [--out gpu_check] [--minutes 7.5] [--dry-run]``

Writes ``gpu.json``, ``gpu.csv`` and ``gpu.md`` to ``--out`` and prints the table. Needs torch, numpy, scipy, h5py,
pandas, PyYAML, safetensors, tqdm, transformers and lightning-fabric; weights and data are random. The project's
training loop (`occlufacediff.training.loop.train`: Lightning Fabric, EMA, check of finite losses, gradient norm) is
measured for float32, TF32, bf16 and bf16 compiled, in both phases of the published recipe (visual: wav2vec2 frozen,
audio: trained):

- ``windows_per_s``: with the real loader; ``windows_per_s_no_loader``: with one batch that stays on the device;
- ``loader_bound``: the loader costs more than a tenth;
- ``memory_mib``: peak of what torch allocated on the GPU; ``share_of_peak``: of the GPU's peak for this precision,
  from operations that torch counted.

Measurements that would pass the time limit are left out and listed. ``--dry-run`` uses small sizes and any device, and
compiles without code generation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import torch  # noqa: E402
from published_setup import (  # noqa: E402
    Batch,
    flops_per_window,
    head_of_flames_size,
    open_clips,
    published_settings,
    published_task,
    random_clips,
    to,
)

from occlufacediff.config.loop import LoopSettings  # noqa: E402
from occlufacediff.errors import OccluFaceError  # noqa: E402
from occlufacediff.head.asset import HeadAsset  # noqa: E402
from occlufacediff.models.sample import SampleInput, sample_clips  # noqa: E402
from occlufacediff.training.loop import train  # noqa: E402
from occlufacediff.training.parallel import product_precision  # noqa: E402
from occlufacediff.training.phases import Phase, enter_phase  # noqa: E402
from occlufacediff.training.published_denoiser import PublishedDenoiserTask  # noqa: E402
from occlufacediff.training.state import Course  # noqa: E402
from occlufacediff.training.task import Losses  # noqa: E402

Precision = Literal["float32", "tf32", "bf16"]
#: Peak of dense products, 10^12 operations per second, by a part of the GPU's name (makers' data sheets).
PEAKS: dict[str, dict[str, float]] = {
    "H100 PCIe": {"float32": 51, "tf32": 378, "bf16": 756},
    "H100": {"float32": 67, "tf32": 495, "bf16": 989},
    "H200": {"float32": 67, "tf32": 495, "bf16": 989},
    "A100": {"float32": 19.5, "tf32": 156, "bf16": 312},
    "L40S": {"float32": 91.6, "tf32": 183, "bf16": 362},
}
VARIANTS: list[tuple[Precision, bool]] = [("float32", False), ("tf32", False), ("bf16", False), ("bf16", True)]
#: Seconds that a measurement may take, including the first steps; compiling takes longest.
RESERVE_S = {False: 40.0, True: 120.0}
#: Our recipe has an EMA, so the loop is measured with it.
EMA_DECAY = 0.999
COLUMNS = ("name", "phase", "windows_per_s", "windows_per_s_no_loader", "loader_bound", "memory_mib",
           "gflop_per_window", "share_of_peak", "frames_per_s", "note")  # fmt: skip


def peak_of(device: torch.device, precision: str) -> float | None:
    """Peak operations per second of this GPU for a precision, or None if the GPU is not listed."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    found = next((peaks for part, peaks in PEAKS.items() if part in name), None)
    return None if found is None else 1e12 * found[precision]


def synchronised(device: torch.device) -> float:
    """The time after all work on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class MeasuredTask(PublishedDenoiserTask):
    """The published training in one phase: first on the same batch again and again, then on those of the loader.

    Attributes:
        phase: which parts of the audio encoder are frozen.
        repeated: number of micro-batches that are the same one.
        marks: numbers of micro-batches before which the time is taken.
        times: the time before each of them, after all work on the device.
    """

    phase: Phase
    repeated: int
    marks: tuple[int, ...]
    times: dict[int, float]

    def first_batch(self) -> Batch:
        """The first micro-batch, on the device."""
        return to(next(iter(super().batches(0, 1))), self.device)

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """The micro-batches of the whole training, with a watch on them."""
        source = iter(chain(repeat(self.first_batch(), self.repeated), super().batches(0, last - self.repeated)))
        for number in range(first, last):
            if number in self.marks:
                self.times[number] = synchronised(self.device)
            yield next(source)

    def prepare(self, micro_batch: int) -> None:
        """Enter the measured phase."""
        enter_phase(self.denoiser, self.phase)

    def validate(self) -> Losses:
        """No validation; it comes after the last measured step."""
        return {"loss": torch.zeros(())}


class Check:
    """All measurements on one device.

    Args:
        device: to measure.
        dry_run: small sizes.
        folder: of the random clips.
        until: time (`time.monotonic`) at which the last measurement must have ended.
    """

    def __init__(self, device: torch.device, *, dry_run: bool, folder: Path, until: float) -> None:
        self.device, self.dry_run, self.until = device, dry_run, until
        self.asset: HeadAsset = head_of_flames_size(small=dry_run)
        self.folder = folder
        random_clips(folder, 47 if dry_run else 470)
        self.workers = 1 if dry_run else max(1, min(12, (os.cpu_count() or 2) - 2))
        self.rows: list[dict[str, Any]] = []
        self.flops: dict[Phase, float] = {}

    def task(self, kind: type[PublishedDenoiserTask] = PublishedDenoiserTask, **loop: Any) -> Any:
        """The published training, as an object of the class ``kind``, with some settings of the loop."""
        small = {"batch_size": 1, "accumulate": 1} if self.dry_run else {}
        settings = published_settings(small=self.dry_run, loader_workers=self.workers, **small, **loop)
        return published_task(settings, self.asset, open_clips(self.folder), self.device, kind=kind)

    def attempt(self, name: str, phase: str, seconds: float, work: Callable[[], dict[str, Any]]) -> None:
        """Add the row of a measurement, or of why there is none."""
        row: dict[str, Any] = {"name": name, "phase": phase}
        if time.monotonic() + (0 if self.dry_run else seconds) > self.until:
            row["note"] = f"left out: it may take {seconds:.0f} s"
        else:
            try:
                row |= work()
            except (RuntimeError, OccluFaceError) as error:  # out of memory, no compiler
                row["note"] = f"failed: {str(error).splitlines()[0][:200]}"
        self.rows.append(row)
        print(row, file=sys.stderr, flush=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def training(self, precision: Precision, phase: Phase, *, compiled: bool) -> dict[str, Any]:
        """Speed and memory of the training loop, after two optimizer steps that are not counted (a dry run: none)."""
        warm_up, steps = (0, 1) if self.dry_run else (2, 6)
        # The clock stops when the loop asks for the first batch of one more step.
        total = 2 * (warm_up + steps) + 1
        task: MeasuredTask = self.task(
            MeasuredTask, precision=precision, compile=compiled, ema_decay=EMA_DECAY, max_steps=total,
            validate_every=total, save_every=total + 1,
        )  # fmt: skip
        loop = task.settings.loop
        if compiled and self.dry_run:
            # Without code generation, which takes minutes on a CPU.
            task.denoiser.compile = partial(task.denoiser.compile, backend="eager")  # type: ignore[method-assign]
        task.phase, task.times = phase, {}
        task.repeated = loop.accumulate * (warm_up + steps)
        ends = (warm_up, warm_up + steps, 2 * warm_up + steps, 2 * (warm_up + steps))
        task.marks = tuple(loop.accumulate * end for end in ends)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        run = self.folder / "run"
        train(task, settings=loop, out_dir=run, course=Course({}, {}), seed=1, device=self.device)
        shutil.rmtree(run)
        memory = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None
        windows, times = steps * loop.accumulate * loop.batch_size, [task.times[mark] for mark in task.marks]
        alone, real = windows / (times[1] - times[0]), windows / (times[3] - times[2])
        if phase not in self.flops:
            self.flops[phase] = flops_per_window(task, task.first_batch(), phase)
        peak = peak_of(self.device, precision)
        return {
            "windows_per_s": round(real, 2),
            "windows_per_s_no_loader": round(alone, 2),
            "loader_bound": real < 0.9 * alone,
            "memory_mib": None if memory is None else round(memory),
            "gflop_per_window": round(self.flops[phase] / 1e9, 2),
            "share_of_peak": None if peak is None else round(alone * self.flops[phase] / peak, 4),
        }

    def sampling(self, precision: Literal["float32", "bf16"], clips: int) -> dict[str, Any]:
        """Frames per second of DDIM sampling of clips of 10 s."""
        task: PublishedDenoiserTask = self.task()
        frames, steps = (64, 2) if self.dry_run else (256, 100)
        draw = torch.Generator().manual_seed(0)
        inputs = [
            SampleInput(
                clip_id=f"{number}",
                lmk_2d=0.3 * torch.randn(frames, 468, 2, generator=draw),
                lmk_mask=(torch.rand(frames, 468, generator=draw) > 0.5).float(),
                audio=torch.randn(frames * 640, generator=draw),
            )
            for number in range(clips)
        ]

        def sample() -> None:
            sample_clips(
                task.denoiser, task.prior, inputs, seed=0, steps=steps, solver="ddim", hop=64, precision=precision,
                max_batch=256, device=self.device,
            )  # fmt: skip

        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        sample()
        begun = synchronised(self.device)
        sample()
        seconds = synchronised(self.device) - begun
        memory = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None
        return {
            "frames_per_s": round(clips * frames / seconds, 1),
            "memory_mib": None if memory is None else round(memory),
        }

    def run(self) -> None:
        """All measurements, the most important ones first."""
        for precision, compiled in VARIANTS:
            # bf16 is very slow on most CPUs.
            once = self.dry_run and precision == "bf16"
            phases: tuple[Phase, ...] = ("audio",) if once else ("audio", "visual")
            for phase in phases:
                name = f"training, {precision}{', compiled' if compiled else ''}"

                def work(precision: Precision = precision, phase: Phase = phase, compiled: bool = compiled) -> Any:
                    return self.training(precision, phase, compiled=compiled)

                self.attempt(name, phase, RESERVE_S[compiled], work)
        number_formats: tuple[Literal["float32", "bf16"], ...] = ("float32", "bf16")
        for number_format in number_formats:
            for clips in (1, 2 if self.dry_run else 16):

                def sampled(number_format: Literal["float32", "bf16"] = number_format, clips: int = clips) -> Any:
                    with product_precision(LoopSettings(precision=number_format)):
                        return self.sampling(number_format, clips)

                self.attempt(f"sampling, {number_format}, {clips} clips, DDIM", "", RESERVE_S[False], sampled)


def table_of(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        lines.append("| " + " | ".join("" if row.get(name) is None else str(row[name]) for name in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, print."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu_check"))
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.dry_run:
        parser.error("there is no GPU here; --dry-run measures small sizes on any device")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(tempfile.mkdtemp(prefix="gpu_check_"))
    try:
        check = Check(device, dry_run=arguments.dry_run, folder=folder / "data", until=begun + 60 * arguments.minutes)
        check.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "dry_run": arguments.dry_run,
        "loader_workers": check.workers,
        "seconds": round(time.monotonic() - begun),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gpu.json").write_text(json.dumps({**about, "rows": check.rows}, indent=1), encoding="utf-8")
    with (arguments.out / "gpu.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(check.rows)
    (arguments.out / "gpu.md").write_text(table_of(check.rows), encoding="utf-8")
    print(about)
    print(table_of(check.rows))


if __name__ == "__main__":
    main()
