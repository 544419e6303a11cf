"""Planning at full scale: time and memory of ``snakemake -n`` for a simulated full MEAD.

``python benchmarks/dag.py [--subjects 47] [--clips 31000] [--chunks 4] [--repeats 3]``; the last line is one JSON
object.

The data set is a folder of empty files. Four states are planned: archives only; unpacked, with a video and an audio
file per clip; finished, with all outputs and Snakemake's records of them; and unpacked with every subject split into
chunks. Memory is the peak resident size of the process. The fastest repeat counts, because other processes only add
time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
#: Limits at full scale, for every state without chunks.
MOST_SECONDS, MOST_MB = 6.0, 250.0


@dataclass(frozen=True)
class Plan:
    """One dry run."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    jobs: int


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Create the data set, plan it in all states, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=47)
    parser.add_argument("--clips", type=int, default=31_000)
    parser.add_argument("--chunks", type=int, default=4, help="chunks per subject in the chunked state")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="full-mead-") as name:
        folder = Path(name)
        subjects = [f"M{number:03d}" for number in range(1, options.subjects + 1)]
        _archives(folder / "archives", subjects)
        states = {"archives": _fastest(folder, options.repeats)}
        _unpacked(folder / "results/mead/raw", subjects, options.clips)
        states["unpacked"] = _fastest(folder, options.repeats)
        states["unpacked, in chunks"] = _fastest(folder, options.repeats, chunks=options.chunks)
        _finished(folder)
        states["finished"] = _fastest(folder, options.repeats)
    for state, plan in states.items():
        print(f"{state:20} {plan.jobs:5d} jobs  {plan.wall_s:6.2f} s  {plan.cpu_s:6.2f} CPU s  {plan.peak_mb:6.1f} MB")
    whole = [plan for state, plan in states.items() if "chunks" not in state]
    result: dict[str, object] = {
        "benchmark": "dag",
        "subjects": options.subjects,
        "clips": options.clips,
        "wall_s": max(plan.wall_s for plan in whole),
        "peak_mb": max(plan.peak_mb for plan in whole),
        "states": {state: asdict(plan) for state, plan in states.items()},
    }
    result["met"] = result["wall_s"] <= MOST_SECONDS and result["peak_mb"] <= MOST_MB
    print(json.dumps(result))
    return result


def _archives(folder: Path, subjects: Sequence[str]) -> None:
    for subject in subjects:
        (folder / subject).mkdir(parents=True)
        for archive in ("video.tar", "audio.tar"):
            (folder / subject / archive).touch()


def _unpacked(raw: Path, subjects: Sequence[str], clips: int) -> None:
    """Empty video and audio files of ``clips`` clips over all subjects, then each subject's index."""
    for place, subject in enumerate(subjects):
        for number in range(clips // len(subjects) + (place < clips % len(subjects))):
            emotion, level = EMOTIONS[number % len(EMOTIONS)], number // len(EMOTIONS) % 3 + 1
            clip = f"{emotion}/level_{level}/{number // (3 * len(EMOTIONS)) + 1:03d}"
            for kind, suffix in (("video", "mp4"), ("audio", "m4a")):
                file = raw / subject / kind / f"{clip}.{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        (raw / subject / "index.csv").touch()


def _finished(folder: Path) -> None:
    """All outputs as empty files, with Snakemake's records of them."""
    summary = subprocess.run(
        _command(folder, "--detailed-summary"), cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for line in summary.splitlines()[1:]:
        file = folder / line.split("\t")[0]
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    subprocess.run(_command(folder, "--touch", "--cores", "1"), cwd=ROOT, check=True, capture_output=True)


def _fastest(folder: Path, repeats: int, chunks: int = 1) -> Plan:
    return min((_plan(folder, chunks) for _ in range(repeats)), key=lambda plan: plan.wall_s)


def _command(folder: Path, *arguments: str, chunks: int = 1) -> list[str]:
    names = sorted(path.name for path in (folder / "archives").iterdir())
    parts = {"train": names[:-2], "validation": names[-2:-1], "test": names[-1:]}
    split = {part: {"subjects": subjects, "sentences": [part]} for part, subjects in parts.items()}
    config = {"dataset": "mead", "source": "local", "archives": str(folder / "archives"), "split": split}
    file = folder / f"config-{chunks}.yaml"
    file.write_text(yaml.safe_dump(config | ({"chunks": chunks} if chunks > 1 else {})))
    command = [sys.executable, "-m", "snakemake", "--configfile", str(file), "--directory", str(folder)]
    return [*command, *arguments]


def _plan(folder: Path, chunks: int) -> Plan:
    """One dry run in a separate process, whose resources the system counts."""
    log = folder / "plan.txt"
    with log.open("w") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            _command(folder, "--dry-run", chunks=chunks), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
    text = log.read_text()
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"snakemake --dry-run failed:\n{text[-3000:]}")
    total = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    return Plan(
        wall_s=round(wall, 3),
        cpu_s=round(used.ru_utime + used.ru_stime, 3),
        peak_mb=round(used.ru_maxrss / 1024, 1),
        jobs=int(total[1]) if total else 0,
    )


if __name__ == "__main__":
    main()
