"""Stages: training of the motion prior, then of the denoiser."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec

import torch
from torch import nn

from occlufacediff.config.published_recipe import RANDOM
from occlufacediff.config.training import DenoiserSettings, MotionPriorSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_ENCODER
from occlufacediff.datasets.clips import Clips
from occlufacediff.datasets.packed import PackedClips
from occlufacediff.device import pick_device
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import PRIOR_OF_DENOISER, checkpoint_files, load_motion_prior, save_checkpoint
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.provenance import Provenance, TrainingOrigin
from occlufacediff.models.wav2vec2_weights import weights_file
from occlufacediff.training.denoiser import denoiser_config, fit_denoiser
from occlufacediff.training.initial import initial_denoiser
from occlufacediff.training.loop import CLOCK_COLUMNS, TrainingRecord
from occlufacediff.training.motion_prior import fit_motion_prior
from occlufacediff.training.processes import check_processes, launch, several
from occlufacediff.training.share import Share
from occlufacediff.training.snapshots import Snapshots
from occlufacediff.training.state import Course
from occlufacediff.workflow.fingerprint import fingerprint

P = ParamSpec("P")
#: Folder of a run for its snapshots.
SNAPSHOTS = "snapshots"


def _in_processes(section: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorate a training: with several devices or nodes it runs in that many processes, see `processes.launch`."""

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        @wraps(function)
        def started(*args: P.args, **kwargs: P.kwargs) -> None:
            given = inspect.signature(function).bind(*args, **kwargs).arguments
            loop, where = given["settings"].loop, pick_device(given["device"])
            check_processes(loop, where, f"{section}.loop")
            if several(loop):
                launch(started, given, settings=loop, device=where, folder=given["out_dir"])
            else:
                function(*args, **kwargs)

        return started

    return decorate


@_in_processes("motion_prior")
def train_motion_prior(
    manifest: Path,
    face: Sequence[Path],
    head: Path,
    out_dir: Path,
    *,
    settings: MotionPriorSettings,
    origin: TrainingOrigin,
    seed: int,
    device: str,
) -> None:
    """Train the motion prior; ``out_dir`` gets ``model.safetensors``, ``config.yaml``, ``history.csv``.

    The last state is kept in ``out_dir/resume``: a killed training resumes from it, and a finished one is extended from
    it by a larger ``loop.max_steps``.

    Args:
        manifest: the data set's manifest.
        face: packed coefficients of all subjects.
        head: the head asset.
        out_dir: folder of the checkpoint.
        settings: of the training.
        origin: names of data set, split rule and run, for the checkpoint's provenance.
        seed: of all random draws.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AssetError: a file is missing or does not fit the others, or the loss is not finite.
        ConfigError: the settings do not fit the head model or the machine.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    training, validation = (PackedClips(manifest, split, face=face, head=asset) for split in ("train", "validation"))
    course = _course(settings, seed, where, training, validation, head)
    provenance = Provenance.of(origin, training.clip_sentences(), seed)
    save = partial(_save, asset=asset, settings=settings, provenance=provenance, device=where)
    prior, record = fit_motion_prior(
        training,
        validation,
        asset,
        out_dir,
        settings=settings,
        course=course,
        seed=seed,
        device=where,
        snapshots=Snapshots(out_dir.parent / SNAPSHOTS, "motion_prior", save),
    )
    save(out_dir, prior, record)


@_in_processes("denoiser")
def train_denoiser(
    manifest: Path,
    face: Sequence[Path],
    audio: Sequence[Path],
    head: Path,
    motion_prior_dir: Path,
    out_dir: Path,
    *,
    settings: DenoiserSettings,
    origin: TrainingOrigin,
    seed: int,
    device: str,
    initial: Path | None = None,
) -> None:
    """Train the denoiser in the latents of a motion prior; ``out_dir`` as in `train_motion_prior`.

    Args:
        manifest: the data set's manifest.
        face: packed coefficients and landmarks of all subjects.
        audio: packed audio of all subjects, of the kind that the denoiser reads.
        head: the head asset.
        motion_prior_dir: checkpoint of the motion prior.
        out_dir: folder of the checkpoint.
        settings: of the training.
        origin: names of data set, split rule and run, for the checkpoint's provenance.
        seed: of all random draws.
        device: ``auto``, ``cpu`` or ``cuda``.
        initial: checkpoint (``motion_prior/`` and ``denoiser/``) to start from; None: random weights.

    Raises:
        AssetError: a file is missing or does not fit the others, or the loss is not finite.
        ConfigError: the settings do not fit head model, motion prior or machine.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    prior, info = load_motion_prior(motion_prior_dir, device=where)
    info.require_head(asset)
    started = None if initial is None else initial_denoiser(initial, asset, prior, settings)
    training, validation = (
        PackedClips(
            manifest,
            split,
            face=face,
            head=asset,
            landmarks=True,
            audio=audio,
            audio_as=AUDIO_OF_ENCODER[denoiser_config(settings, prior).audio],
        )
        for split in ("train", "validation")
    )
    files = {"motion prior": checkpoint_files(motion_prior_dir)[0]}
    if initial is not None:
        files["initial weights"] = checkpoint_files(initial / "denoiser")[0]
    elif settings.preset == "published" and settings.wav2vec2.weights not in (None, RANDOM):
        files["wav2vec2"] = weights_file(str(settings.wav2vec2.weights))
    course = _course(settings, seed, where, training, validation, head, files=files)
    start = None if started is None else started[1]
    provenance = Provenance.of(origin, training.clip_sentences(), seed, start)
    save = partial(
        _save,
        asset=asset,
        settings=settings,
        provenance=provenance,
        device=where,
        motion_prior=motion_prior_dir,
    )
    denoiser, record = fit_denoiser(
        training,
        validation,
        asset,
        prior,
        out_dir,
        settings=settings,
        course=course,
        seed=seed,
        device=where,
        initial=None if started is None else started[0],
        snapshots=Snapshots(out_dir.parent / SNAPSHOTS, "denoiser", save, motion_prior_dir),
    )
    save(out_dir, denoiser, record)


def _course(
    settings: MotionPriorSettings | DenoiserSettings,
    seed: int,
    device: torch.device,
    training: Clips,
    validation: Clips,
    head: Path,
    *,
    files: Mapping[str, Path] | None = None,
) -> Course:
    """All that determines the weights of a training, and the data of its history."""
    inputs = {
        "seed": str(seed),
        "device": device.type,
        "code": fingerprint(__name__),
        "training clips": training.digest(),
        "validation clips": validation.digest(),
        "head model": sha256(head),
    }
    inputs |= {name: sha256(path) for name, path in (files or {}).items()}
    return Course.of(settings, inputs)


def _save(
    out_dir: Path,
    model: nn.Module,
    record: TrainingRecord,
    *,
    asset: HeadAsset,
    settings: MotionPriorSettings | DenoiserSettings,
    provenance: Provenance,
    device: torch.device,
    motion_prior: Path | None = None,
) -> None:
    """Write the checkpoint with the resolved settings, the last figures and the provenance, in one process only."""
    if Share.current().process:
        return
    assert isinstance(model, MotionPrior | Denoiser)
    # A snapshot may come before the first row.
    row = next((row for row in reversed(record.rows) if row["step"] <= record.step), {})
    training = {
        "settings": json.loads(json.dumps(asdict(settings))),
        "seed": provenance.seed,
        "device": device.type,
        "precision": settings.loop.precision,
        "schedule": record.schedule,
        "last": {name: value for name, value in row.items() if name not in CLOCK_COLUMNS},
    }
    if motion_prior is not None:
        training[PRIOR_OF_DENOISER] = sha256(checkpoint_files(motion_prior)[0])
    if record.best is not None:
        training["best"] = record.best
    save_checkpoint(
        out_dir,
        model,
        head_name=asset.name,
        head_digest=asset.digest,
        expression_names=asset.expression_names,
        training=training,
        provenance=provenance,
    )
