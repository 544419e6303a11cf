"""Validation by sampling: how far the lips of sampled motion are from the truth where the mouth is occluded.

Losses at random diffusion steps say little about samples, and losses of two phases cannot be compared. This figure can:
the mouth is occluded in all frames, motion is sampled by DDIM, and the distance of lip vertices is in millimetres.
"""

from __future__ import annotations

import torch
from torch import Tensor

from occlufacediff.config.loop import SampledSettings
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.conditions import SampleInput
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import sample_clips
from occlufacediff.training.hooks import Openings
from occlufacediff.training.objective import HeadTerms
from occlufacediff.training.task import Batch

#: Half the size of the occluded box, relative to that of the lips over all frames.
MARGIN = 1.3


def mouth_mask(lmk_2d: Tensor, known: Tensor) -> Tensor:
    """Visibility (B, T, L): landmarks in a box around the lips of all frames are occluded, and unknown ones too.

    Args:
        lmk_2d: (B, T, L, 2) landmarks.
        known: (B, T, L), 1 where a landmark was detected.
    """
    lips, seen = lmk_2d[:, :, LIPS], known[:, :, LIPS, None] > 0
    low = torch.where(seen, lips, torch.inf).flatten(1, 2).amin(1)
    high = torch.where(seen, lips, -torch.inf).flatten(1, 2).amax(1)
    centre, half = (low + high) / 2, (high - low) / 2 * MARGIN
    inside = ((lmk_2d - centre[:, None, None]).abs() <= half[:, None, None]).all(-1)
    inside[:, :, LIPS] = True
    return (known > 0).float() * (~inside).float()


class SampledValidation:
    """The validation of a denoiser by samples.

    Args:
        windows: validation windows with landmarks and audio, unmasked, as `fixed_windows` gives them.
        denoiser: the network, whose weights may change between calls.
        prior: the motion prior.
        asset: the head model.
        settings: number of diffusion steps.
        seed: of the noise, the same in every validation.
        precision: of the networks' products.
        device: where the networks are.
    """

    def __init__(
        self,
        windows: Batch,
        denoiser: Denoiser,
        prior: MotionPrior,
        asset: HeadAsset,
        *,
        settings: SampledSettings,
        seed: int,
        precision: str,
        device: torch.device,
    ) -> None:
        self.denoiser, self.prior = denoiser, prior
        self.steps, self.seed, self.device = settings.steps, seed, device
        self.bf16 = precision == "bf16"
        self.on_head = HeadTerms(asset).to(device)
        self.windows = {name: value.to(device) for name, value in windows.items()}
        audio = windows["waveform"] if "waveform" in windows else windows["log_mel"]
        known = torch.isfinite(windows["lmk_target"]).all(-1).float()
        mask = mouth_mask(windows["lmk_2d"], known)
        self.inputs = [
            SampleInput(f"validation {row}", windows["lmk_2d"][row], mask[row], audio[row]) for row in range(len(mask))
        ]

    @torch.no_grad()
    def __call__(self) -> tuple[float, Openings]:
        """Mean distance of the lips of samples from the truth, in millimetres, and mouth openings."""
        sampled = sample_clips(
            self.denoiser,
            self.prior,
            self.inputs,
            seed=self.seed,
            steps=self.steps,
            solver="ddim",
            precision="bf16" if self.bf16 else "float32",
            device=self.device,
        )
        motion = torch.stack([clip[0] for clip in sampled]).to(self.device)
        truth = torch.cat([self.windows["exp"], self.windows["jaw"]], -1)
        moved, true = (self.on_head.vertices(value, self.windows["shape"]) for value in (motion, truth))
        lips = self.on_head.lips
        error = (moved[:, :, lips] - true[:, :, lips]).square().sum(-1).sqrt().mean()
        openings = [self.on_head.gaps(points).mean(-1).cpu() for points in (true, moved)]
        return float(error), Openings(*openings)
