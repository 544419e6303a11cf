"""Phases of the published recipe: what is trained in an epoch, and the state of each part of the denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from occlufacediff.models.audio_encoder import Wav2Vec2Encoder
from occlufacediff.models.denoiser import Denoiser

Phase = Literal["visual", "audio"]


@dataclass(frozen=True)
class Phases:
    """Which epochs are visual.

    Attributes:
        cycle: epochs of a cycle.
        visual: an epoch, counted from 1, is visual if its remainder by ``cycle`` is below this number.
    """

    cycle: int = 6
    visual: int = 3

    def of_epoch(self, epoch: int) -> Phase:
        """Phase of an epoch; the first is number 1."""
        if epoch < 1:
            raise ValueError(f"epoch: got {epoch}, needs at least 1")
        return "visual" if epoch % self.cycle < self.visual else "audio"

    def first_audio_epoch(self) -> int | None:
        """The first epoch that trains the audio encoder, or None if no epoch does."""
        audio = [epoch for epoch in range(1, self.cycle + 1) if self.of_epoch(epoch) == "audio"]
        return audio[0] if audio else None


def audio_parts(denoiser: Denoiser) -> list[nn.Module]:
    """Modules of the audio encoder that phases freeze: projection and transformer of wav2vec2, or all of ours.

    The convolutions of wav2vec2 are never trained and not among them.
    """
    encoder = denoiser.audio_encoder
    if isinstance(encoder, Wav2Vec2Encoder):
        return [encoder.model.feature_projection, encoder.model.encoder]
    return [encoder]


def audio_parameters(denoiser: Denoiser) -> list[nn.Parameter]:
    """Parameters that phases freeze: those of `audio_parts` and, in wav2vec2, the mask embedding."""
    found = [parameter for part in audio_parts(denoiser) for parameter in part.parameters()]
    encoder = denoiser.audio_encoder
    if isinstance(encoder, Wav2Vec2Encoder):
        found.append(encoder.model.masked_spec_embed)
    return found


def enter_phase(denoiser: Denoiser, phase: Phase, *, drift: bool = False) -> None:
    """Freeze or free the audio encoder; call it after ``denoiser.train()``.

    In a visual phase its parts get no gradient and are in eval mode: no dropout, no layer drop. All other parts stay
    in train mode.

    Args:
        denoiser: in train mode.
        phase: of the epoch.
        drift: in a visual phase, give frozen parameters a gradient of zero instead of none: AdamW then continues with
            its momentum and its weight decay, as in the published loop.
    """
    frozen = phase == "visual"
    for part in audio_parts(denoiser):
        part.train(not frozen)
    for parameter in audio_parameters(denoiser):
        parameter.requires_grad_(not frozen)
        if frozen and drift and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
