"""Settings of the open weights: the landmark clips they are trained on, and their training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from occlufacediff.config.constraints import Count, Fraction, Limits, NotNegative, Section, Seed
from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import (
    AugmentSettings,
    DenoiserSettings,
    LoopSettings,
    LossSettings,
    MotionPriorSettings,
)


@dataclass(frozen=True)
class LandmarkClipSettings(Section):
    """Generated clips of landmarks, audio and coefficients without images; each has a new speaker."""

    #: Number of clips.
    clips: Annotated[int, Limits(ge=2)] = 2100
    #: Clips per shard; each shard is one job.
    shard_clips: Count = 150
    #: Number of validation shards (the last ones).
    validation_shards: Count = 1
    #: Shortest clip.
    min_seconds: Annotated[float, Limits(ge=3)] = 3.0
    #: Longest clip.
    max_seconds: float = 5.0
    #: Jaw angle of an average speaker's most open vowel, in radians.
    jaw_opening: NotNegative = 0.11
    #: Average strength of the lip actions.
    lip_amplitude: NotNegative = 0.6
    #: SD of the logarithm of a speaker's opening, lip strength and rounding.
    style_spread: NotNegative = 0.35
    #: SD of the logarithm of a speaker's viseme targets.
    viseme_spread: NotNegative = 0.3
    #: SD of the logarithm of viseme targets between sounds of one speaker.
    segment_spread: NotNegative = 0.25
    #: Minimum lip closure of a speaker for p, b and m; 1 is complete.
    min_closure: Fraction = 0.4
    #: Exponent of the loudness, relative to the clip's mean, that scales speech motion.
    loudness_exponent: NotNegative = 0.35
    #: SD of mouth motion that is independent of the audio, per action.
    idle_motion: NotNegative = 0.1
    #: The same for the jaw, in radians.
    idle_jaw: NotNegative = 0.02
    #: SD of the resting mouth between speakers, per action.
    rest_spread: NotNegative = 0.06
    #: The same for the jaw, in radians.
    rest_jaw_spread: NotNegative = 0.025
    #: Maximum audio offset that remains after its estimation, in frames.
    offset_frames: NotNegative = 1.5
    #: SD of the head's yaw, in degrees; clips differ by up to a factor of two.
    head_motion_degrees: NotNegative = 8.0
    #: Background noise, as in ``synthetic``.
    noise_snr_db: Annotated[float, Limits(0, 100)] = 22.0
    #: Reverberation, as in ``synthetic``.
    reverberation: NotNegative = 0.6

    def __post_init__(self) -> None:
        if self.validation_shards >= self.shards:
            raise ValueError(
                f"validation_shards: got {self.validation_shards} of {self.shards} shards, needs fewer than all"
            )
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"min_seconds: got {self.min_seconds}, needs at most max_seconds ({self.max_seconds})")

    @property
    def shards(self) -> int:
        """Number of shards; the last one can have fewer clips."""
        return -(-self.clips // self.shard_clips)


def _denoiser() -> DenoiserSettings:
    return DenoiserSettings(
        preset="open",
        loop=LoopSettings(
            max_steps=2500, batch_size=32, learning_rate=8e-4, warmup_steps=200, ema_decay=0.998, validate_every=500,
            save_every=500,
        ),
        losses=LossSettings(latent=0.7, lips=0.5, vertices=0.1, velocity=0.2, closure=0.1),
        masks=MaskSettings(
            whole=0.06, half_frames=0.04, nothing=0.02, all=0.08, eyes=0.05, left=0.06, right=0.06, mouth=0.9,
            random=0.15, contour=0.15, span_is_window=0.35, mouth_with_chin=0.9,
        ),
        augment=AugmentSettings(tempo=0.12, mouth_swap=0.85, offset_frames=0.0, voice=0.1, loudness=0.15, slope=0.3),
        audio_dropout=0.12,
        landmark_dropout=0.06,
    )  # fmt: skip


@dataclass(frozen=True)
class OpenWeightsSettings(Section):
    """The open weights: the target ``open_weights`` makes them from seeds alone."""

    #: Seed of clips and training, independent of the global seed, so that all users make the same weights.
    seed: Seed = 7
    clips: LandmarkClipSettings = field(default_factory=LandmarkClipSettings)
    motion_prior: MotionPriorSettings = field(
        default_factory=lambda: MotionPriorSettings(
            loop=LoopSettings(max_steps=600, batch_size=32, learning_rate=5e-4, weight_decay=1e-4)
        )
    )
    denoiser: DenoiserSettings = field(default_factory=_denoiser)
