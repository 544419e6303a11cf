"""The checkpoint that a training starts from (`run.init_from`)."""

from __future__ import annotations

from pathlib import Path

import torch

from occlufacediff.config.training import DenoiserSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import checkpoint_files, load_denoiser, load_motion_prior
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.provenance import StartingPoint
from occlufacediff.training.denoiser import denoiser_config


def initial_denoiser(
    folder: Path, asset: HeadAsset, prior: MotionPrior, settings: DenoiserSettings
) -> tuple[Denoiser, StartingPoint]:
    """The denoiser that a training starts from, and what is recorded of it.

    Args:
        folder: checkpoint with ``motion_prior/`` and ``denoiser/``.
        asset: head model of the training.
        prior: motion prior of the training.
        settings: of the training.

    Raises:
        AssetError: the checkpoint belongs to another head model or motion prior, or its network has other sizes than
            the settings give.
    """
    denoiser, info = load_denoiser(folder / "denoiser")
    info.require_head(asset)
    wanted, got = denoiser_config(settings, prior).to_dict(), denoiser.config.to_dict()
    other = [name for name in wanted if wanted[name] != got.get(name)]
    if other:
        raise AssetError(
            f"{folder / 'denoiser'}: its network has {other[0]} {got.get(other[0])!r}, the preset {settings.preset!r} "
            f"needs {wanted[other[0]]!r}; set denoiser.preset to the checkpoint's, or start from another checkpoint"
        )
    _require_prior(folder, prior)
    return denoiser, StartingPoint(sha256(checkpoint_files(folder / "denoiser")[0]), info.provenance)


def _require_prior(folder: Path, prior: MotionPrior) -> None:
    """Refuse a motion prior whose latents are not those that the checkpoint's denoiser predicts."""
    theirs, _ = load_motion_prior(folder / "motion_prior")
    ours, known = prior.state_dict(), theirs.state_dict()
    same = ours.keys() == known.keys() and all(torch.equal(ours[name].cpu(), known[name]) for name in known)
    if not same:
        raise AssetError(
            f"{folder}: its denoiser predicts latents of its own motion prior, but the motion prior in use has other "
            "weights or latent statistics; use the checkpoint's motion prior"
        )
