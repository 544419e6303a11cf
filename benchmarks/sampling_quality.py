"""Quality cost of few steps and of joined windows: a trained compact model on the test clips of a run.

``python benchmarks/sampling_quality.py [--results results/synthetic] [--hour]``; the last line is one JSON object.

Solvers are compared with DDIM-100 on the same noise. Seams are measured on concatenated test clips. With ``--hour``,
memory and seams of segments are measured on one hour of clips. Motions are sampled, without refinement.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.schema import Config
from occlufacediff.datasets.clips import Clip
from occlufacediff.datasets.store import ClipStore
from occlufacediff.evaluation.cases import make_case
from occlufacediff.evaluation.metrics import lve
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.media.rates import FPS, MEL_ROWS_PER_FRAME
from occlufacediff.models import sample as sampling
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import SampleInput, sample_clips
from occlufacediff.models.windows import WINDOW_FRAMES, split_segments, window_layout
from occlufacediff.stages.open_head import workflow_head

Float = NDArray[np.float32]

#: Reference solvers: the published one, and one with so many steps that more change little.
REFERENCES = (("ddim", 400), ("ddim", 100))
SOLVERS = (*REFERENCES, ("ddim", 50), ("ddim", 20), ("ddim", 10), ("dpmpp", 20), ("dpmpp", 10), ("dpmpp", 5))
OCCLUSIONS = ("mouth", "audio_driven")
HOUR = 90_000


def inputs_of(store: ClipStore, kind: str) -> list[SampleInput]:
    """All clips of a split under one occlusion of the protocol."""
    result = []
    for number in range(len(store)):
        case = make_case(store.clip_id(number), store[number], kind, EvaluationSettings(), seed=0)
        arrays = (case.clip.lmk_2d, case.visible, case.clip.log_mel)
        result.append(SampleInput(case.clip_id, *(torch.from_numpy(np.ascontiguousarray(part)) for part in arrays)))
    return result


def lips_of(asset: HeadAsset, clip: Clip, motion: Float) -> Float:
    """Lip vertices (T, V, 3) of a motion on the clip's head, without head rotation."""
    made = vertices_numpy(asset, clip.shape, motion[:, :-3], np.zeros_like(motion[:, :3]), motion[:, -3:])
    return np.asarray(made[:, asset.regions["lips"]], np.float32)


def rms_apart(one: list[Float], other: list[Float]) -> float:
    """Root mean squared distance in mm, over all vertices and frames of all clips."""
    squares = [((a.astype(np.float64) - b) ** 2).sum(-1).ravel() for a, b in zip(one, other, strict=True)]
    return 1000 * float(np.sqrt(np.concatenate(squares).mean()))


def compare_solvers(
    models: tuple[Denoiser, MotionPrior], store: ClipStore, asset: HeadAsset
) -> dict[str, dict[str, float]]:
    """For each solver: distance to the reference solvers (RMS, mm at the lips), error, seconds."""
    clips = [store[number] for number in range(len(store))]
    truths = [lips_of(asset, clip, clip.motion) for clip in clips]
    gathered: dict[str, list[dict[str, float]]] = {}
    for kind in OCCLUSIONS:
        inputs = inputs_of(store, kind)
        references: dict[str, list[Float]] = {}
        for solver, steps in SOLVERS:
            begun = time.perf_counter()
            motions = sample_clips(*models, inputs, seed=0, steps=steps, solver=solver)
            seconds = time.perf_counter() - begun
            lips = [lips_of(asset, clip, motion[0].numpy()) for clip, motion in zip(clips, motions, strict=True)]
            if (solver, steps) in REFERENCES:
                references[f"{solver}-{steps}"] = lips
            gathered.setdefault(f"{solver}-{steps}", []).append(
                {
                    **{f"rms_to_{name}_mm": rms_apart(lips, other) for name, other in references.items()},
                    "lve_mm": float(np.mean([lve(truth, made) for truth, made in zip(truths, lips, strict=True)])),
                    "seconds": seconds,
                }
            )
    return {
        name: {f"{kind}_{key}": round(row[key], 4) for kind, row in zip(OCCLUSIONS, rows, strict=True) for key in row}
        for name, rows in gathered.items()
    }


def joined(clips: list[SampleInput], frames: int) -> tuple[SampleInput, NDArray[np.int64]]:
    """Concatenated clips, repeated up to a number of frames, and the first frame of each."""
    row: list[SampleInput] = []
    lengths: list[int] = []
    for clip in itertools.cycle(clips):
        if sum(lengths) >= frames:
            break
        row.append(clip)
        lengths.append(len(clip.lmk_2d))
    long = SampleInput(
        "row",
        *(torch.cat([getattr(clip, name) for clip in row]) for name in ("lmk_2d", "lmk_mask", "audio")),
    )
    cut = SampleInput("row", long.lmk_2d[:frames], long.lmk_mask[:frames], long.audio[: frames * MEL_ROWS_PER_FRAME])
    return cut, np.cumsum([0, *lengths])[1:-1]


def jerk_of(asset: HeadAsset, shape: Float, motion: Float) -> NDArray[np.float64]:
    """Mean third difference (T - 3,) of the lip vertices, m/s^3."""
    parts = []
    for begin in range(0, len(motion) - 3, 2000):
        part = motion[begin : begin + 2003]
        made = vertices_numpy(asset, shape, part[:, :-3], np.zeros_like(part[:, :3]), part[:, -3:])
        lips = made[:, asset.regions["lips"]].astype(np.float64)
        parts.append(np.linalg.norm(np.diff(lips, n=3, axis=0), axis=-1).mean(1) * FPS**3)
    return np.concatenate(parts)


def ratio_at(jerk: NDArray[np.float64], borders: NDArray[np.int64], joints: NDArray[np.int64]) -> float:
    """Ratio of mean jerk across window borders to mean jerk elsewhere; frames near clip borders are left out."""
    frame = np.arange(len(jerk))

    def spans(places: NDArray[np.int64], around: int) -> NDArray[np.bool_]:
        marked = np.zeros(len(jerk) + 2 * around + 4, bool)
        for offset in range(-around, 3 + around):
            marked[np.asarray(places, np.int64) - 3 + offset + around] = True
        return marked[around : around + len(jerk)]

    usable = ~spans(joints, 8) & (frame >= 8) & (frame < len(jerk) - 8)
    at = spans(borders[(borders > 2) & (borders < len(jerk))], 0)
    return round(float(jerk[usable & at].mean() / jerk[usable & ~at].mean()), 3)


def measure_seams(
    models: tuple[Denoiser, MotionPrior], store: ClipStore, asset: HeadAsset, frames: int
) -> dict[str, float]:
    """Jerk ratio at window borders: overlapping windows, and adjacent windows as published."""
    result: dict[str, float] = {}
    shape = store[0].shape
    for kind in OCCLUSIONS:
        clip, joints = joined(inputs_of(store, kind), frames)
        for name, hop in (("overlapping", WINDOW_FRAMES // 2), ("side_by_side", WINDOW_FRAMES)):
            motion = sample_clips(*models, [clip], seed=0, steps=10, hop=hop)[0][0].numpy()
            jerk = jerk_of(asset, shape, motion)
            result[f"{kind}_{name}"] = ratio_at(jerk, np.arange(hop, len(jerk), hop), joints)
            latents = np.arange(8, len(jerk), 8)
            result[f"{kind}_{name}_latents"] = ratio_at(jerk, latents[latents % hop != 0], joints)
    return result


def measure_segments(
    models: tuple[Denoiser, MotionPrior], store: ClipStore, asset: HeadAsset, windows: int = 8
) -> dict[str, float]:
    """Jerk ratio at the borders of segments of few windows, and at the same frames without segments."""
    clip, joints = joined(inputs_of(store, OCCLUSIONS[0]), HOUR // 5)
    parts = split_segments(window_layout(HOUR // 5), windows)
    borders = np.array([(part.start + part.fixed) * 8 for part in parts[1:]])
    result: dict[str, float] = {"borders": len(borders)}
    usual = sampling.MAX_SEGMENT_WINDOWS
    for name, most in (("in_segments", windows), ("at_once", 10_000)):
        sampling.MAX_SEGMENT_WINDOWS = most
        motion = sample_clips(*models, [clip], seed=0, steps=10)[0][0].numpy()
        result[name] = ratio_at(jerk_of(asset, store[0].shape, motion), borders, joints)
    sampling.MAX_SEGMENT_WINDOWS = usual
    return result


def measure_hour(models: tuple[Denoiser, MotionPrior], store: ClipStore) -> dict[str, float]:
    """One hour of video: speed, and memory in addition to the inputs."""
    clip, _ = joined(inputs_of(store, OCCLUSIONS[0]), HOUR)
    frames = 5 * 60 * FPS
    sound = clip.audio[: frames * MEL_ROWS_PER_FRAME]
    five_minutes = dataclasses.replace(clip, lmk_2d=clip.lmk_2d[:frames], lmk_mask=clip.lmk_mask[:frames], audio=sound)
    peaks = [_peak_mib()]
    for part in (five_minutes, clip):
        begun = time.perf_counter()
        motion = sample_clips(*models, [part], seed=0, steps=10)[0]
        seconds = time.perf_counter() - begun
        peaks.append(_peak_mib())
    return {
        "seconds": round(seconds, 1),
        "frames_per_s": round(HOUR / seconds),
        "segments": len(split_segments(window_layout(HOUR), sampling.MAX_SEGMENT_WINDOWS)),
        "inputs_mib": round(sum(t.nbytes for t in (clip.lmk_2d, clip.lmk_mask, clip.audio)) / 2**20),
        "motion_mib": round(motion.nbytes / 2**20),
        "peak_with_inputs_mib": round(peaks[0]),
        "peak_after_five_minutes_mib": round(peaks[1]),
        "peak_after_an_hour_mib": round(peaks[2]),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure on one thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/synthetic"))
    parser.add_argument("--run", default="main", help="name of the run whose networks are measured")
    parser.add_argument("--head", type=Path, default=workflow_head(Config()))
    parser.add_argument("--seam-frames", type=int, default=750, help="length of the concatenated clips, in frames")
    parser.add_argument("--hour", action="store_true", help="measure an hour of clips instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: Path = arguments.results
    run = results / "runs" / arguments.run
    shards = {name: sorted((results / name).glob("*.h5")) for name in ("coefficients", "clips", "audio")}
    store = ClipStore(results / "manifest.csv", "test", **shards)
    asset = HeadAsset.load(arguments.head)
    models = load_denoiser(run / "denoiser")[0], load_motion_prior(run / "motion_prior")[0]
    result: dict[str, object] = {"clips": len(store)}
    if arguments.hour:
        result["hour"] = measure_hour(models, store)
        result["jerk_where_segments_meet"] = measure_segments(models, store, asset)
    else:
        result["solvers"] = compare_solvers(models, store, asset)
        result["jerk_at_borders"] = measure_seams(models, store, asset, arguments.seam_frames)
    for name, values in result.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            print(f"{name} {key}: {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
