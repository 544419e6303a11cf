"""Settings of training: the motion prior, the denoiser, augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from occlufacediff.config.constraints import BelowOne, Fraction, NotNegative, Positive, Section
from occlufacediff.config.loop import LoopSettings as LoopSettings
from occlufacediff.config.loop import SampledSettings
from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.published_recipe import (
    PublishedDenoiserSettings,
    PublishedPriorSettings,
    Recipe,
    Wav2Vec2Settings,
)


@dataclass(frozen=True)
class MotionPriorSettings(Section):
    """Training of the motion prior, an autoencoder of motion windows."""

    #: Network size: ours, or the published FLINT v2 (for FLAME's 100 expressions and jaw).
    preset: Literal["compact", "published"] = "compact"
    #: How it is trained: ``ours``, or ``published`` with the settings in ``published``. The keys from
    #: ``motion_weight`` to ``amplitude`` belong to our recipe.
    recipe: Recipe = "ours"
    #: Preset ``published``: take the head model's number of expressions, even if it is not FLAME's 100.
    fit_to_head: bool = False
    #: Preset ``published``: use the trained network as the published code uses FLINT outside of training, where each
    #: latent and frame attends to itself only. If false, it is used as it was trained.
    isolated_inference: bool = False
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(max_steps=200, batch_size=16, learning_rate=5e-4, weight_decay=1e-4)
    )
    #: Weight of the mean squared error of motion, each value divided by its standard deviation in the training set.
    motion_weight: NotNegative = 1.0
    #: Weight of the mean vertex distance on the head model's landmark triangles, in millimetres.
    vertex_weight: NotNegative = 0.2
    #: Weight of the mean error of vertex steps between frames, in millimetres.
    velocity_weight: NotNegative = 0.2
    #: Weight of the Kullback-Leibler divergence to the unit normal distribution, per latent value.
    kl_weight: NotNegative = 1e-4
    #: Augmentation: maximum relative change of speed.
    tempo: BelowOne = 0.15
    #: Augmentation: maximum relative change of each motion value's amplitude, per window.
    amplitude: BelowOne = 0.3
    published: PublishedPriorSettings = field(default_factory=PublishedPriorSettings)


@dataclass(frozen=True)
class AugmentSettings(Section):
    """Random changes of a training window's inputs; only ``tempo`` changes the targets too."""

    #: Maximum relative change of speed of motion, landmarks and audio.
    tempo: BelowOne = 0.12
    #: SD of a window's rotation, in degrees.
    rotation: NotNegative = 3.0
    #: SD of a window's scale. The crop follows the whole face, chin included: without this
    #: augmentation, its size reveals how far the mouth is open.
    scale: NotNegative = 0.06
    #: SD of a slow change of scale within a window.
    scale_drift: NotNegative = 0.03
    #: SD of a window's position, in half crops.
    shift: NotNegative = 0.06
    #: SD of a slow change of position within a window, in half crops.
    shift_drift: NotNegative = 0.03
    #: SD of landmark noise per frame, in crop pixels; a window's constant noise has
    #: half of it.
    noise_px: NotNegative = 0.5
    #: Probability of a mouth swap: visible landmarks move with another clip's mouth while the mouth is occluded.
    mouth_swap: Fraction = 0.5
    #: SD of loudness, relative to the log-mel's standard deviation.
    loudness: NotNegative = 0.4
    #: SD of a slope over the mel bands, in the same unit.
    slope: NotNegative = 0.3
    #: Maximum relative stretch of the mel bands, which imitates other voices.
    voice: BelowOne = 0.12
    #: SD of noise on the log-mel.
    mel_noise: NotNegative = 0.2
    #: Probability that phones are missing in part of a window (preset ``open``).
    phones_lost: Fraction = 0.15
    #: Maximum random audio offset, in frames.
    offset_frames: NotNegative = 0.0


@dataclass(frozen=True)
class LossSettings(Section):
    """Weights of the denoiser's losses; distances are in millimetres on the decoded prediction."""

    #: Mean squared error of the latents (of unit variance).
    latent: NotNegative = 0.5
    #: Mean distance of lip vertices.
    lips: NotNegative = 0.5
    #: Mean distance of the vertices at the landmarks.
    vertices: NotNegative = 0.1
    #: Mean error of lip vertex steps between frames.
    velocity: NotNegative = 0.3
    #: Mean L1 distance of projected and detected landmarks, in half crops.
    landmarks_2d: NotNegative = 0.0
    #: Mean error of the gaps between paired lip landmarks.
    closure: NotNegative = 0.1


@dataclass(frozen=True)
class DenoiserSettings(Section):
    """Training of the denoiser, which predicts the motion prior's latents from landmarks and audio."""

    #: Network: ours with log-mel audio (``compact``), ours with spectrum and phones (``open``), or the published one
    #: with wav2vec2.
    preset: Literal["compact", "open", "published"] = "compact"
    #: How it is trained: ``ours``, or ``published`` with the settings in ``published``. The sections ``losses``,
    #: ``masks`` and ``augment`` and the key ``noise_bias`` belong to our recipe.
    recipe: Recipe = "ours"
    wav2vec2: Wav2Vec2Settings = field(default_factory=Wav2Vec2Settings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(max_steps=450, batch_size=16))
    sampled: SampledSettings = field(default_factory=SampledSettings)
    losses: LossSettings = field(default_factory=LossSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    #: Probability that a window's audio is dropped, for guidance.
    audio_dropout: Fraction = 0.1
    #: Probability that all landmarks of a window are dropped, in addition to the masks.
    landmark_dropout: Fraction = 0.1
    #: Diffusion steps are drawn as ``steps * u ** noise_bias`` with uniform u; below 1 prefers noisy steps, where the
    #: conditions matter most.
    noise_bias: Positive = 0.6
    published: PublishedDenoiserSettings = field(default_factory=PublishedDenoiserSettings)
