"""Settings of training: the loop both networks share, the motion prior, the denoiser, augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from occlufacediff.config.occlusion import MaskSettings


def _positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name}: got {value}, needs more than 0")


def _not_negative(settings: object, *names: str) -> None:
    for name in names:
        if not getattr(settings, name) >= 0:
            raise ValueError(f"{name}: got {getattr(settings, name)}, needs 0 or more")


def _odds(settings: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(f"{name}: got {getattr(settings, name)}, needs odds from 0 to 1")


@dataclass(frozen=True)
class LoopSettings:
    """How a network is trained, whichever it is."""

    #: Optimizer steps.
    max_steps: int = 600
    #: Stop after so many minutes whatever the step; results then depend on the machine's speed. null: no limit.
    max_minutes: float | None = None
    #: Windows a step.
    batch_size: int = 16
    #: Peak learning rate of AdamW; it rises over ``warmup_steps``, then falls as a half cosine to a twentieth.
    learning_rate: float = 1e-3
    warmup_steps: int = 30
    #: Decoupled weight decay of AdamW, on matrices only.
    weight_decay: float = 1e-2
    #: Largest norm of the gradient; larger ones are scaled down to it.
    clip_norm: float = 1.0
    #: Decay of the moving average of weights that is saved and evaluated; 0: the weights themselves.
    ema_decay: float = 0.98
    #: Number format of the networks' products: bf16 under autocast or float32. Weights and losses stay float32.
    precision: Literal["float32", "bf16"] = "float32"
    #: Steps between validations, each a row of history.csv.
    validate_every: int = 100
    #: Windows of the validation split that are scored, always the same ones.
    validation_windows: int = 48
    #: Steps between states saved for a resume.
    save_every: int = 200
    #: Loader processes; 0 prepares windows in the training process.
    loader_workers: int = 0
    #: Clips are kept in memory when they all fit into so many MiB, else read from their files for each window.
    memory_mib: int = 2048

    def __post_init__(self) -> None:
        _positive(self, "max_steps", "max_minutes", "batch_size", "learning_rate", "clip_norm")
        _positive(self, "validate_every", "validation_windows", "save_every")
        _not_negative(self, "warmup_steps", "weight_decay", "loader_workers", "memory_mib")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay: got {self.ema_decay}, needs 0 <= it < 1")


@dataclass(frozen=True)
class MotionPriorSettings:
    """Training of the motion prior: an autoencoder of windows of [exp, jaw]."""

    #: Sizes of the network: ours, or the published FLINT v2 (FLAME's 100 expressions and the jaw only).
    preset: Literal["compact", "published"] = "compact"
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(max_steps=200, batch_size=16, learning_rate=5e-4, weight_decay=1e-4)
    )
    #: Weight of the mean squared error of the motion, each value divided by its spread in training.
    motion_weight: float = 1.0
    #: Weight of the mean vertex distance, in millimetres, on the head model's landmark triangles.
    vertex_weight: float = 0.2
    #: Weight of the mean difference of vertex steps between frames, in millimetres.
    velocity_weight: float = 0.2
    #: Weight of the Kullback-Leibler divergence to the unit normal distribution, a latent value.
    kl_weight: float = 1e-4
    #: Motions are played faster and slower by up to this fraction.
    tempo: float = 0.15
    #: Each value of the motion is made larger or smaller by up to this fraction, a window.
    amplitude: float = 0.3

    def __post_init__(self) -> None:
        _not_negative(self, "motion_weight", "vertex_weight", "velocity_weight", "kl_weight")
        for name in ("tempo", "amplitude"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 <= it < 1")


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of a training window's inputs; the targets stay as they are but for tempo."""

    #: Motion, landmarks and sound are played faster and slower by up to this fraction.
    tempo: float = 0.12
    #: Spread of a turn of all landmarks of a window, degrees.
    rotation: float = 3.0
    #: Spread of the scale of all landmarks of a window, and of a slow change of it within the window.
    #: The crop follows the whole face, chin included: without this its size and place tell how far the mouth is open.
    scale: float = 0.06
    scale_drift: float = 0.03
    #: The same for the place of the face, in units of half a crop.
    shift: float = 0.06
    shift_drift: float = 0.03
    #: Spread of independent noise of a landmark, in pixels of the 224 crop, a frame and (half of it) a window.
    noise_px: float = 0.5
    #: Odds that visible points carry the mouth of another clip (decoys) while the mouth is hidden: they must not tell.
    mouth_swap: float = 0.5
    #: Spread of loudness and of a slope over the mel bands, in units of the log-mel's spread.
    loudness: float = 0.4
    slope: float = 0.3
    #: The mel bands are stretched by up to this fraction: other voices.
    voice: float = 0.12
    #: Spread of noise on the log-mel.
    mel_noise: float = 0.2
    #: Odds that the phones of spectrum and phones are lost over a part of a window.
    phones_lost: float = 0.15
    #: Sound is moved against the picture by up to so many frames, for recordings that are out of step.
    offset_frames: float = 0.0

    def __post_init__(self) -> None:
        names = ("rotation", "scale", "scale_drift", "shift", "shift_drift", "noise_px", "loudness", "slope")
        _not_negative(self, *names, "mel_noise", "offset_frames")
        _odds(self, "mouth_swap", "phones_lost")
        for name in ("tempo", "voice"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 <= it < 1")


@dataclass(frozen=True)
class LossSettings:
    """Weights of the denoiser's losses; distances are in millimetres on the decoded prediction."""

    #: Mean squared error of the latents (each of unit spread).
    latent: float = 0.5
    #: Mean distance of the lips' vertices.
    lips: float = 0.5
    #: Mean distance of the vertices under the landmarks.
    vertices: float = 0.1
    #: Mean difference of steps between frames, lips' vertices.
    velocity: float = 0.3
    #: Mean L1 distance of projected landmarks, against the detected ones, in units of half a crop.
    landmarks_2d: float = 0.0
    #: Mean difference of gaps between paired lip landmarks.
    closure: float = 0.1

    def __post_init__(self) -> None:
        _not_negative(self, "latent", "lips", "vertices", "velocity", "landmarks_2d", "closure")


@dataclass(frozen=True)
class DenoiserSettings:
    """Training of the denoiser: it learns the motion prior's latents from landmarks, sound and noisy latents."""

    #: Sizes of the network: ours on log-mel, or on spectrum and phones (``open``), or the published one on wav2vec2.
    preset: Literal["compact", "open", "published"] = "compact"
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(max_steps=450, batch_size=16))
    losses: LossSettings = field(default_factory=LossSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    #: Odds that a window's sound is dropped, so that guidance has a trained branch without it.
    audio_dropout: float = 0.1
    #: Odds that all of a window's landmarks are dropped (on top of the masks).
    landmark_dropout: float = 0.1
    #: Diffusion steps are drawn as ``steps * u ** noise_bias`` of a uniform u; below 1 prefers noisy steps, where the
    #: condition decides.
    noise_bias: float = 0.6

    def __post_init__(self) -> None:
        _odds(self, "audio_dropout", "landmark_dropout")
        _positive(self, "noise_bias")
