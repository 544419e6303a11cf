"""Stage: the motion prior of a run that starts from a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

from occlufacediff.config.training import DenoiserSettings
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import checkpoint_files, load_motion_prior
from occlufacediff.training.initial import initial_denoiser


def keep_motion_prior(checkpoint: Path, head: Path, out_dir: Path, *, settings: DenoiserSettings) -> None:
    """Copy the motion prior of a checkpoint; whatever does not fit is refused before anything is trained.

    Args:
        checkpoint: folder with ``motion_prior/`` and ``denoiser/``.
        head: the head asset of the run.
        out_dir: gets ``model.safetensors`` and ``config.yaml``.
        settings: of the denoiser's training, which starts from the checkpoint.

    Raises:
        AssetError: the checkpoint cannot be read, belongs to another head model, or has networks of other sizes.
    """
    asset = HeadAsset.load(head)
    prior, info = load_motion_prior(checkpoint / "motion_prior")
    info.require_head(asset)
    initial_denoiser(checkpoint, asset, prior, settings)
    files = (checkpoint_files(folder) for folder in (checkpoint / "motion_prior", out_dir))
    for source, target in zip(*files, strict=True):
        with written_aside(target) as aside:
            shutil.copyfile(source, aside)
