"""The evaluation stage: the test protocol, its tables and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.evaluation.predictions import write_hidden, write_motion
from occlufacediff.evaluation.protocol import run_protocol
from occlufacediff.evaluation.scores import unit_of
from occlufacediff.files import new_hdf5, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior
from occlufacediff.training.data import ClipStore
from occlufacediff.training.loop import pick_device


def evaluate(
    manifest: Path,
    clips: Sequence[Path],
    audio: Sequence[Path],
    coefficients: Sequence[Path],
    head: Path,
    motion_prior_dir: Path,
    denoiser_dir: Path,
    metrics_csv: Path,
    metrics_by_clip_csv: Path,
    predictions_h5: Path,
    *,
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    device: str,
) -> None:
    """Score all methods under all occlusions on a split.

    Writes ``metrics_csv`` (``method, occlusion, metric, unit, mean, n``: means over clips, n of them),
    ``metrics_by_clip_csv`` (``method, occlusion, subject, clip, metric, unit, value``) and ``predictions_h5``. The
    headline is ``lve``: over all frames of a clip, as published; ``lve_hidden`` is over the hidden frames only.

    Args:
        manifest: the data set's manifest.
        clips: clip stores of all subjects.
        audio: sound of all subjects.
        coefficients: coefficients of all subjects, taken as truth.
        head: the head asset.
        motion_prior_dir: checkpoint of the motion prior.
        denoiser_dir: checkpoint of the denoiser.
        metrics_csv: means.
        metrics_by_clip_csv: one row a clip, method, occlusion and metric.
        predictions_h5: motions and what was hidden (see `evaluation.predictions`).
        settings: of the protocol.
        reconstruction: of the fit to visible landmarks that ends our methods.
        seed: of occlusions and sampling.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AssetError: a file is missing or does not fit, or the checkpoint belongs to another head model.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    prior, prior_info = load_motion_prior(motion_prior_dir, device=where)
    denoiser, info = load_denoiser(denoiser_dir, device=where)
    for one in (prior_info, info):
        one.require_head(asset.name, asset.expression_names)
    sound = "log_mel" if denoiser.config.audio == "log_mel" else "waveform"
    store = ClipStore(
        manifest, settings.split, coefficients=coefficients, clips=clips, audio=audio, sound=sound, memory_mib=0
    )
    rows = []
    rounds = run_protocol(
        store, asset, denoiser, prior, settings=settings, reconstruction=reconstruction, seed=seed, device=where
    )
    with new_hdf5(predictions_h5) as file:
        for cases, results in tqdm(rounds, total=len(settings.occlusions), desc="evaluation", unit="occlusion"):
            for case in cases:
                write_hidden(file, case.clip_id, case.hidden, case.visible)
            for result in results:
                write_motion(file, result.occlusion, result.method, result.clip_id, result.motion)
                subject, clip = result.clip_id.split("/", 1)
                rows += [
                    (result.method, result.occlusion, subject, clip, metric, unit_of(metric), value)
                    for metric, value in result.metrics.items()
                ]
    by_clip = pd.DataFrame(rows, columns=["method", "occlusion", "subject", "clip", "metric", "unit", "value"])
    groups = by_clip.groupby(["method", "occlusion", "metric", "unit"], sort=False)["value"]
    means = groups.agg(mean="mean", n="size").reset_index()
    for path, table in ((metrics_csv, means), (metrics_by_clip_csv, by_clip)):
        with written_aside(path) as aside:
            table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
