"""The training stages: motion prior, then denoiser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.datasets.clips import SOUND, ClipStore
from occlufacediff.device import pick_device
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import checkpoint_files, load_motion_prior, save_checkpoint
from occlufacediff.training.denoiser import denoiser_config, fit_denoiser
from occlufacediff.training.loop import CLOCK_COLUMNS, Row, forget_state
from occlufacediff.training.motion_prior import fit_motion_prior
from occlufacediff.workflow.fingerprint import fingerprint


def train_motion_prior(
    manifest: Path,
    coefficients: Sequence[Path],
    head: Path,
    out_dir: Path,
    *,
    settings: MotionPriorSettings,
    seed: int,
    device: str,
) -> None:
    """Train the motion prior; ``out_dir`` gets ``model.safetensors``, ``config.yaml``, ``history.csv``.

    A state for a resume lies in ``out_dir/resume`` until the end.

    Args:
        manifest: the data set's manifest.
        coefficients: coefficients of all subjects.
        head: the head asset.
        out_dir: the checkpoint.
        settings: of the training.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AssetError: a file is missing or does not fit, or the loss is not finite.
        ConfigError: settings that do not fit the head or the machine.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    memory = settings.loop.memory_mib
    training, validation = (
        ClipStore(manifest, split, coefficients=coefficients, head=asset, memory_mib=memory, known_only=True)
        for split in ("train", "validation")
    )
    key = _key(settings, seed, where, training, validation, head)
    prior, rows = fit_motion_prior(
        training, validation, asset, out_dir, settings=settings, key=key, seed=seed, device=where
    )
    _save(out_dir, prior, asset, settings, seed, where, rows)


def train_denoiser(
    manifest: Path,
    clips: Sequence[Path],
    audio: Sequence[Path],
    coefficients: Sequence[Path],
    head: Path,
    motion_prior_dir: Path,
    out_dir: Path,
    *,
    settings: DenoiserSettings,
    seed: int,
    device: str,
) -> None:
    """Train the denoiser in the latents of a motion prior; ``out_dir`` as in `train_motion_prior`.

    Args:
        manifest: the data set's manifest.
        clips: clip stores of all subjects.
        audio: sound of all subjects.
        coefficients: coefficients of all subjects.
        head: the head asset.
        motion_prior_dir: checkpoint of the motion prior.
        out_dir: the checkpoint.
        settings: of the training.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AssetError: a file is missing or does not fit, or the loss is not finite.
        ConfigError: settings that do not fit head, prior or machine.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    prior, info = load_motion_prior(motion_prior_dir, device=where)
    info.require_head(asset)
    training, validation = (
        ClipStore(
            manifest,
            split,
            coefficients=coefficients,
            head=asset,
            clips=clips,
            audio=audio,
            sound=SOUND[denoiser_config(settings, prior).audio],
            memory_mib=settings.loop.memory_mib,
            known_only=True,
        )
        for split in ("train", "validation")
    )
    key = _key(settings, seed, where, training, validation, head, *checkpoint_files(motion_prior_dir))
    denoiser, rows = fit_denoiser(
        training, validation, asset, prior, out_dir, settings=settings, key=key, seed=seed, device=where
    )
    _save(out_dir, denoiser, asset, settings, seed, where, rows)


def _key(
    settings: Any, seed: int, device: torch.device, training: ClipStore, validation: ClipStore, *files: Path
) -> str:
    """Digest of all that a training depends on: a saved state of another key is not resumed."""
    parts = [json.dumps(asdict(settings), sort_keys=True), str(seed), device.type, fingerprint(__name__)]
    parts += [training.digest(), validation.digest(), *(sha256(file) for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _save(
    out_dir: Path, model: Any, asset: HeadAsset, settings: Any, seed: int, device: torch.device, rows: list[Row]
) -> None:
    """Write the checkpoint with the resolved settings and last figures, then drop the state for a resume."""
    loop: LoopSettings = settings.loop
    figures = {name: value for name, value in rows[-1].items() if name not in CLOCK_COLUMNS}
    training = {
        "settings": json.loads(json.dumps(asdict(settings))),
        "seed": seed,
        "device": device.type,
        "precision": loop.precision,
        "last": figures,
    }
    save_checkpoint(
        out_dir,
        model,
        head_name=asset.name,
        head_digest=asset.digest,
        expression_names=asset.expression_names,
        training=training,
    )
    forget_state(out_dir)
