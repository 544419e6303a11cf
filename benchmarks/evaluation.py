"""The evaluation's jobs on many clips: clips per second of a core, peak memory, and what larger splits would take.

``python benchmarks/evaluation.py --results results/synthetic [--run main] [--clips 20 200] [--occlusions mouth]
[--methods ours interpolation] [--steps 10]``

Needs a finished run. The test clips of its data set are repeated under other names until there are as many as asked
for. Each job (`sample_motions`, `score_motions`, `write_evaluation_tables`) runs in its own process with one thread.
Times are seconds of CPU without imports; the peak is that of the whole process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import torch

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.manifest_rows import SplitRows
from occlufacediff.head.asset import HeadAsset
from occlufacediff.stages.evaluation_tables import Tables, write_tables
from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
from occlufacediff.stages.score_motions import score_subject

SUBJECT = "repeated"
JOBS = ("sample", "score", "tables")
#: Sizes to estimate: the published test split, and a large list.
SIZES, OCCLUSIONS = (424, 10_000), 11


@dataclass(frozen=True)
class Source:
    """A data set with trained networks.

    Attributes:
        folder: with ``manifest.csv``, ``clips/``, ``audio/`` and ``coefficients/``.
        head: its head model.
        motion_prior: checkpoint.
        denoiser: checkpoint.
    """

    folder: Path
    head: Path
    motion_prior: Path
    denoiser: Path

    @classmethod
    def of_run(cls, results: Path, run: str, heads: Path) -> Source:
        """A finished run, with the head model of its coefficients.

        Raises:
            SystemExit: there is no such run or head model.
        """
        networks = [results / "runs" / run / name for name in ("motion_prior", "denoiser")]
        coefficients = next(iter(sorted((results / "coefficients").glob("*.h5"))), None)
        if coefficients is None or not all((folder / "model.safetensors").is_file() for folder in networks):
            raise SystemExit(f"{results}: has no finished run {run}; run the workflow first")
        with h5py.File(coefficients, "r") as file:
            digest = str(file.attrs["head_digest"])
        for head in sorted(heads.glob("*.npz")):
            if HeadAsset.load(head).digest == digest:
                return cls(results, head, *networks)
        raise SystemExit(f"{heads}: has no head model with the digest {digest}; give its folder with --heads")


def repeat(source: Source, clips: int, out: Path) -> None:
    """Write a data set of one subject with ``clips`` clips: the test clips of a source, repeated."""
    rows = SplitRows.read(source.folder / "manifest.csv", "test").rows
    lines = [("subject", "clip", "split", "status", "sentence_id")]
    for kind in ("clips", "audio", "coefficients"):
        (out / kind).mkdir(parents=True)
        with h5py.File(out / kind / f"{SUBJECT}.h5", "w") as file:
            for number in range(clips):
                subject, clip = rows[number % len(rows)]
                with h5py.File(source.folder / kind / f"{subject}.h5", "r") as original:
                    group = file.create_group(f"happy/level_1/{number:05d}")
                    file.attrs.update(original.attrs)
                    # Pictures are not read.
                    for name in set(original[clip]) - {"crops", "crop_offsets"}:
                        original.copy(original[clip][name], group, name)
    lines += [(SUBJECT, f"happy/level_1/{number:05d}", "test", "ok", str(number)) for number in range(clips)]
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table, lineterminator="\n").writerows(lines)


def run_job(job: str, source: Source, data: Path, settings: EvaluationSettings) -> dict[str, float]:
    """Run one job of the evaluation in this process; CPU seconds, and the peak of the process in MiB."""
    torch.set_num_threads(1)
    clips, audio, coefficients = (data / kind / f"{SUBJECT}.h5" for kind in ("clips", "audio", "coefficients"))
    motions, failed = data / "motions" / f"{SUBJECT}.h5", data / "motions" / f"{SUBJECT}.csv"
    scores, failures = data / "scores" / f"{SUBJECT}.csv", data / "failures" / f"{SUBJECT}.csv"
    manifest, head = data / "manifest.csv", source.head
    jobs: dict[str, Callable[[], None]] = {
        "sample": lambda: sample_subject(
            SUBJECT,
            manifest,
            clips,
            audio,
            coefficients,
            head,
            Checkpoints(source.motion_prior, source.denoiser),
            motions,
            failed,
            settings=settings,
            reconstruction=ReconstructionSettings(),
            seed=0,
            occlusion_seed=0,
            device="cpu",
        ),
        "score": lambda: score_subject(
            SUBJECT, motions, failed, clips, audio, coefficients, head, manifest, scores, failures
        ),
        "tables": lambda: write_tables(
            manifest,
            [scores],
            [failures],
            head,
            [source.motion_prior, source.denoiser],
            {},
            Tables(*(data / f"table_{number}.csv" for number in range(7))),
            dataset="repeated",
            settings=settings,
            occlusion_seed=0,
        ),
    }
    begun, clock = time.process_time(), time.perf_counter()
    jobs[job]()
    return {
        "cpu_s": time.process_time() - begun,
        "clock_s": time.perf_counter() - clock,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(source: Source, sizes: Sequence[int], settings: EvaluationSettings, folder: Path) -> dict[str, Any]:
    """Figures of every job by number of clips, and what `SIZES` clips under `OCCLUSIONS` occlusions would take."""
    found: dict[str, dict[int, dict[str, float]]] = {job: {} for job in JOBS}
    for clips in sizes:
        data = folder / str(clips)
        repeat(source, clips, data)
        for job in JOBS:
            # A new process for each job: the peak of a process never falls.
            with get_context("spawn").Pool(1) as pool:
                figures = pool.apply(run_job, (job, source, data, settings))
            found[job][clips] = {name: round(value, 2) for name, value in figures.items()}
            rate = clips * len(settings.occlusions) / figures["cpu_s"]
            print(f"{job:7} {clips:6d} clips: {rate:8.2f} clips x occlusions per s of a core, {figures}", flush=True)
    most = max(sizes)
    each = {job: found[job][most]["cpu_s"] / (most * len(settings.occlusions)) for job in JOBS}
    estimates = {}
    for clips in SIZES:
        hours = {job: round(clips * OCCLUSIONS * seconds / 3600, 2) for job, seconds in each.items()}
        estimates[str(clips)] = {"occlusions": OCCLUSIONS, "core_hours": hours}
        print(f"{clips} clips x {OCCLUSIONS} occlusions, core hours: {hours}")
    return {
        "methods": settings.methods,
        "occlusions": settings.occlusions,
        "solver": [settings.solver, settings.steps],
        "cases_per_core_s": {job: round(1 / seconds, 3) for job, seconds in each.items()},
        "jobs": found,
        "growth_mib": {job: round(found[job][most]["peak_mib"] - found[job][min(sizes)]["peak_mib"]) for job in JOBS},
        "estimates": estimates,
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/synthetic"), help="results of a data set")
    parser.add_argument("--run", default="main", help="name of the run")
    parser.add_argument("--heads", type=Path, default=Path("resources/heads"), help="folder of head models")
    parser.add_argument("--clips", type=int, nargs="+", default=[20, 200], help="numbers of clips")
    parser.add_argument("--occlusions", nargs="+", default=["mouth"], help="occlusion kinds")
    parser.add_argument("--methods", nargs="+", default=["ours", "interpolation"], help="methods")
    parser.add_argument("--steps", type=int, default=10, help="solver steps")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    settings = EvaluationSettings(occlusions=tuple(given.occlusions), methods=tuple(given.methods), steps=given.steps)
    source = Source.of_run(given.results, given.run, given.heads)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(source, given.clips, settings, Path(folder))))


if __name__ == "__main__":
    main()
