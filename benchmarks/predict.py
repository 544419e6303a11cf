"""Time of `occlufacediff predict`: one process for all steps against worker processes, in one run.

``python benchmarks/predict.py VIDEO [--workers 2] [--repeat 1] [--occlusion mouth]``

Both ways load their networks first and predict the first two seconds, so that no library is imported in the measured
part. Results must be equal to the byte. Seconds of a step with workers are the seconds that the main process waits for
it: speech is recognised beside the landmarks. Words are recognised and the networks are sampled only for what is
hidden, so ``--occlusion mouth``, which hides the mouth in a part of the video, takes longer. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from occlufacediff.commands.model import find_model
from occlufacediff.config.occlusion import KINDS_WITH_IMAGES, OCCLUSION_KINDS
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.media.ffmpeg import ffmpeg_binary
from occlufacediff.media.rates import FPS
from occlufacediff.prediction.pipeline import Predictor
from occlufacediff.prediction.progress import StepTimer
from occlufacediff.prediction.viewer import viewer_content
from occlufacediff.viewer.page import viewer_page

STEPS = ("observation", "visibility", "fit", "speech", "motion", "motion.npz", "animation", "viewer")
#: Steps that make pictures, without which `motion.npz` is done.
PICTURES = ("animation", "viewer")


def first_seconds(video: Path, folder: Path) -> Path:
    """The first two seconds of a video."""
    short = folder / "short.mkv"
    command = [ffmpeg_binary(), "-loglevel", "error", "-i", str(video), "-t", "2", str(short)]
    subprocess.run(command, check=True)
    return short


def cpu_seconds() -> float:
    """CPU time of this process and of its ended children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(video: Path, short: Path, workers: int, occlusion: Any, folder: Path) -> dict[str, Any]:
    """Predict and animate; seconds of each step, and digests of the results."""
    checkpoint, head = find_model(None, None, Console(stderr=True))
    begun = cpu_seconds()
    settings, visibility = PredictionSettings(occlusion=occlusion), VisibilitySettings(source="auto")
    timer, animation = StepTimer(), folder / f"{workers}.mp4"
    with Predictor(checkpoint, head, settings=settings, visibility=visibility, workers=workers) as predictor:
        predictor.animate(predictor.predict(short), folder / "short.mp4")
        warm, started = cpu_seconds(), time.perf_counter()
        prediction = predictor.predict(video, timer=timer)
        with timer.step("motion.npz"):
            np.savez_compressed(folder / "motion.npz", **prediction.arrays())
        predictor.animate(prediction, animation, timer=timer)
        with timer.step("viewer"):
            content = viewer_content(prediction, predictor.head, video.stem, files=[], animation=animation.name)
            (folder / "viewer.html").write_text(viewer_page(content, video.stem), encoding="utf-8")
        seconds = time.perf_counter() - started
    values = prediction.exp.tobytes() + prediction.jaw.tobytes() + prediction.confidence.tobytes()
    return {
        "frames": len(prediction.exp),
        "wall_s": seconds,
        # Workers count when they have ended, with their imports.
        "cpu_s": cpu_seconds() - (warm if workers < 2 else begun),
        "steps": {name: timer.seconds[name] for name in STEPS},
        "results": [hashlib.sha256(one).hexdigest() for one in (values, animation.read_bytes())],
    }


def table(one: dict[str, Any], many: dict[str, Any], workers: int) -> str:
    """Seconds of each step, without workers and with them."""
    length = one["frames"] / FPS
    rows = [f"{'step':<22}{'1 process':>12}{f'{workers} workers':>12}{'ratio':>8}"]
    shown = {name: (one["steps"][name], many["steps"][name]) for name in STEPS}
    shown["motion.npz alone"] = tuple(
        way["wall_s"] - sum(way["steps"][name] for name in PICTURES) for way in (one, many)
    )
    shown["all"] = one["wall_s"], many["wall_s"]
    for name, (before, after) in shown.items():
        ratio = f"{before / after:.2f}" if after > 0.05 else ""
        rows.append(f"{name:<22}{before:>12.2f}{after:>12.2f}{ratio:>8}")
    rows.append(f"{'times real time':<22}{length / one['wall_s']:>12.2f}{length / many['wall_s']:>12.2f}")
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="number of runs; the fastest is kept")
    kinds = [kind for kind in OCCLUSION_KINDS if kind not in KINDS_WITH_IMAGES]
    parser.add_argument("--occlusion", choices=kinds, default="none", help="simulated occlusion")
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        short = first_seconds(arguments.video, folder)
        ways = []
        for workers in (1, arguments.workers):
            runs = [
                measure(arguments.video, short, workers, arguments.occlusion, folder) for _ in range(arguments.repeat)
            ]
            ways.append(min(runs, key=lambda run: run["wall_s"]))
    one, many = ways
    if one["results"] != many["results"]:
        raise SystemExit("the results with workers differ from those without")
    print(f"{one['frames']} frames, {one['frames'] / FPS:.1f} s; results equal to the byte")
    print(table(one, many, arguments.workers))
    print(json.dumps({"one": one, "workers": many}))


if __name__ == "__main__":
    main()
