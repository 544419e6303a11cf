"""The two networks of a checkpoint, as prediction uses them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior


@dataclass(frozen=True, eq=False)
class Networks:
    """Denoiser and motion prior on one device."""

    denoiser: Denoiser
    prior: MotionPrior
    device: torch.device

    @property
    def adaptable(self) -> bool:
        """Whether the checkpoint stores mean and spread of its motion, which adaptation needs."""
        return bool((self.prior.motion_std != 1).any())

    @property
    def uses_phones(self) -> bool:
        """Whether the audio condition consists of log-mel spectrogram and phones, as for the open weights."""
        return self.denoiser.config.audio == "speech"
