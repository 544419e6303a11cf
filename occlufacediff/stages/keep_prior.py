"""Stage: a motion prior that was trained before, for a run that trains the denoiser only."""

from __future__ import annotations

import shutil
from pathlib import Path

from occlufacediff.config.training import DenoiserSettings
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import checkpoint_files, load_motion_prior
from occlufacediff.training.denoiser import denoiser_config
from occlufacediff.training.initial import initial_denoiser


def keep_motion_prior(
    motion_prior: Path, head: Path, out_dir: Path, *, settings: DenoiserSettings, initial: Path | None = None
) -> None:
    """Copy a trained motion prior; whatever does not fit is refused before anything is trained.

    Args:
        motion_prior: folder of the network.
        head: the head asset of the run.
        out_dir: gets ``model.safetensors`` and ``config.yaml``.
        settings: of the denoiser's training.
        initial: checkpoint (``motion_prior/`` and ``denoiser/``) that the denoiser's training starts from; None: random
            weights.

    Raises:
        AssetError: a network cannot be read, belongs to another head model, or has other sizes than the settings.
        ConfigError: the denoiser's preset needs other latents.
    """
    asset = HeadAsset.load(head)
    prior, info = load_motion_prior(motion_prior)
    info.require_head(asset)
    if initial is None:
        denoiser_config(settings, prior)
    else:
        initial_denoiser(initial, asset, prior, settings)
    files = (checkpoint_files(folder) for folder in (motion_prior, out_dir))
    for source, target in zip(*files, strict=True):
        with written_aside(target) as aside:
            shutil.copyfile(source, aside)
