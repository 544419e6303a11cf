"""Settings of the open weights: the unrendered clips they are trained on, and their training."""

from __future__ import annotations

from dataclasses import dataclass, field

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import (
    AugmentSettings,
    DenoiserSettings,
    LoopSettings,
    LossSettings,
    MotionPriorSettings,
)


@dataclass(frozen=True)
class LandmarkClipSettings:
    """Clips drawn as landmarks, sound and coefficients, without a picture: each by a speaker of its own."""

    #: Clips in all, and clips a shard (one job each).
    clips: int = 2100
    shard_clips: int = 150
    #: Number of shards, the last ones, that training is scored on.
    validation_shards: int = 1
    #: Shortest and longest clip, seconds.
    min_seconds: float = 3.0
    max_seconds: float = 5.0
    #: Jaw angle in radians of the most open vowel of a typical speaker, and the typical strength of the lips' actions.
    opening: float = 0.11
    lips: float = 0.6
    #: Spread of a speaker's opening, lips and rounding about the typical one, as a logarithm.
    habit: float = 0.35
    #: Spread of a speaker's own viseme targets, and of each sound about these: as a logarithm.
    targets: float = 0.3
    tokens: float = 0.25
    #: Least completeness of p, b, m that a speaker may have.
    least_closure: float = 0.4
    #: How much the mouth opens more where speech is louder: exponent of the loudness relative to the clip's.
    loudness: float = 0.35
    #: Motion of the mouth that sound does not tell: spread of each facial action, and of the jaw in radians.
    restless: float = 0.1
    restless_jaw: float = 0.02
    #: Spread of the mouth's resting face between speakers, of the same two.
    resting: float = 0.06
    resting_jaw: float = 0.025
    #: Sound is late or early by up to so many frames beyond what an estimate of the offset would find.
    offset_frames: float = 1.5
    #: Spread of the head's yaw, degrees; clips differ by a factor of two either way.
    head_motion_degrees: float = 8.0
    #: Background noise and rooms, as in ``synthetic``.
    noise_snr_db: float = 22.0
    reverberation: float = 0.6

    def __post_init__(self) -> None:
        for name, low in (("clips", 2), ("shard_clips", 1), ("validation_shards", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs at least {low}")
        if self.validation_shards >= self.shards:
            raise ValueError(
                f"validation_shards: got {self.validation_shards} of {self.shards} shards, needs fewer than all"
            )
        if not 3.0 <= self.min_seconds <= self.max_seconds:
            raise ValueError(f"min_seconds: got {self.min_seconds}, needs 3 to max_seconds ({self.max_seconds})")
        for name in (
            "opening", "lips", "habit", "targets", "tokens", "loudness", "restless", "restless_jaw",
            "resting", "resting_jaw", "offset_frames", "head_motion_degrees", "reverberation",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 or more")
        if not 0 <= self.noise_snr_db <= 100:
            raise ValueError(f"noise_snr_db: got {self.noise_snr_db}, needs 0 to 100")
        if not 0 <= self.least_closure <= 1:
            raise ValueError(f"least_closure: got {self.least_closure}, needs 0 to 1")

    @property
    def shards(self) -> int:
        """Number of shards; the last one may hold fewer clips."""
        return -(-self.clips // self.shard_clips)


def _denoiser() -> DenoiserSettings:
    return DenoiserSettings(
        preset="open",
        loop=LoopSettings(
            max_steps=2500, batch_size=32, learning_rate=8e-4, warmup_steps=200, ema_decay=0.998, validate_every=500,
            save_every=500, memory_mib=6000,
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
class OpenWeightsSettings:
    """The weights that come with the program: made by ``open_weights`` from seeds alone, its own and the head's."""

    #: Seed of clips and trainings, apart from the seed of everything else: all make the same weights.
    seed: int = 7
    clips: LandmarkClipSettings = field(default_factory=LandmarkClipSettings)
    motion_prior: MotionPriorSettings = field(
        default_factory=lambda: MotionPriorSettings(
            loop=LoopSettings(max_steps=600, batch_size=32, learning_rate=5e-4, weight_decay=1e-4, memory_mib=6000)
        )
    )
    denoiser: DenoiserSettings = field(default_factory=_denoiser)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: got {self.seed}, needs 0 or more")
