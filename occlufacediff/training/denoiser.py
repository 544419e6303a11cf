"""Training of the denoiser: it predicts clean latents from noisy ones, visible landmarks and audio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from occlufacediff.config.published_recipe import NO_WAV2VEC2_WEIGHTS, RANDOM, Wav2Vec2Settings
from occlufacediff.config.training import DenoiserSettings
from occlufacediff.datasets.clips import Clips
from occlufacediff.errors import ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.audio_encoder import Wav2Vec2Encoder, Wav2Vec2Sizes
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.wav2vec2_weights import load_wav2vec2
from occlufacediff.training.hooks import Hooks
from occlufacediff.training.loop import TrainingRecord, autocast, train
from occlufacediff.training.motion_prior import motion_of
from occlufacediff.training.mouth_swap import MouthSwap
from occlufacediff.training.objective import HeadTerms
from occlufacediff.training.published_denoiser import PublishedDenoiserTask
from occlufacediff.training.sampled_validation import SampledValidation
from occlufacediff.training.share import Share
from occlufacediff.training.snapshots import Snapshots
from occlufacediff.training.state import Course
from occlufacediff.training.task import Batch, Losses, Task, WindowTask
from occlufacediff.training.windows import WindowDataset, fixed_windows


def denoiser_config(settings: DenoiserSettings, prior: MotionPrior) -> DenoiserConfig:
    """Sizes of the denoiser for a motion prior.

    Raises:
        ConfigError: published sizes with a motion prior that has another latent size.
    """
    latent_dim = prior.config.latent_dim
    if settings.preset != "published":
        return DenoiserConfig.compact(latent_dim) if settings.preset == "compact" else DenoiserConfig.open(latent_dim)
    sizes = {field.name: getattr(settings.wav2vec2, field.name) for field in fields(Wav2Vec2Sizes)}
    config = replace(DenoiserConfig.published(), wav2vec2=Wav2Vec2Sizes(**sizes))
    if config.latent_dim != latent_dim:
        raise ConfigError(
            f"denoiser.preset: 'published' needs a motion prior with latents of {config.latent_dim}, this one has "
            f"{latent_dim}; set motion_prior.preset to 'published' too"
        )
    return config


def input_statistics(store: Clips) -> dict[str, Tensor]:
    """Mean face (468, 2), one spread of all landmarks (), mean and spread of the audio's columns over a split.

    The columns are (80,) log-mel bands, or (60,) speech features. Unknown (NaN) and occluded landmarks are left out;
    a landmark that is never known gets a mean of 0.
    """
    face, square, mel, mel_square = (np.zeros(()),) * 4
    frames, rows = np.zeros((), np.int64), 0
    for index in range(len(store)):
        clip = store[index]
        if clip.lmk_2d is not None:
            known = np.isfinite(clip.lmk_2d).all(axis=-1, keepdims=True)
            if clip.lmk_visible is not None:
                known &= clip.lmk_visible[..., None]
            points = np.where(known, clip.lmk_2d, 0).astype(np.float64)
            face, square, frames = face + points.sum(0), square + (points**2).sum(0), frames + known.sum(0)
        if clip.log_mel is not None:
            values = clip.log_mel.astype(np.float64)
            mel, mel_square, rows = mel + values.sum(0), mel_square + (values**2).sum(0), rows + len(values)
    result: dict[str, np.ndarray] = {}
    if frames.any():
        count = np.maximum(frames, 1)
        mean, ever = face / count, frames[..., 0] > 0
        result |= {"face": mean, "spread": np.sqrt(np.maximum(square / count - mean**2, 0)[ever].mean())}
    if rows:
        mean = mel / rows
        result |= {"mel": np.asarray(mean), "mel_spread": np.sqrt(np.maximum(mel_square / rows - mean**2, 0))}
    return {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in result.items()}


def draw_steps(uniform: Tensor, schedule: NoiseSchedule, bias: float) -> Tensor:
    """Diffusion steps (B,) from uniform numbers (B,): ``steps * u ** bias``, rounded down."""
    return (uniform**bias * schedule.steps).long().clamp_max(schedule.steps - 1)


def denoiser_losses(
    denoiser: Denoiser,
    prior: MotionPrior,
    schedule: NoiseSchedule,
    terms_on_head: HeadTerms,
    mouth_swap: MouthSwap | None,
    *,
    settings: DenoiserSettings,
    device: torch.device,
) -> Callable[[Batch], Losses]:
    """A function that gives the loss terms of a batch; ``loss`` is their weighted sum.

    In training mode diffusion steps, noise, dropout of conditions and the mouth swap are drawn from torch's generator.
    In eval mode diffusion steps are spaced evenly and no condition is dropped.
    """
    audio = "waveform" if settings.preset == "published" else "log_mel"
    share = Share.current()

    def losses(batch: Batch) -> Losses:
        size = len(batch["exp"])
        mask, lmk_2d = batch["lmk_mask"], batch["lmk_2d"]
        keep = torch.ones(size, dtype=torch.bool, device=device)
        if denoiser.training:
            if mouth_swap is not None:
                lmk_2d = mouth_swap(batch, settings.augment.mouth_swap, share)
            keep = share.rand(size, device=device) >= settings.audio_dropout
            seen = share.rand(size, device=device) >= settings.landmark_dropout
            mask = mask * seen[:, None, None]
            uniform = share.rand(size, device=device)
        else:
            uniform = torch.linspace(0.02, 1.0, size, device=device)
        with torch.no_grad():
            target, _ = prior.encode(motion_of(batch))
        index = draw_steps(uniform, schedule, settings.noise_bias)
        noise = share.randn_like(target) if denoiser.training else torch.randn_like(target)
        noisy = schedule.add_noise(target, index, noise)
        with autocast(settings.loop, device):
            predicted = denoiser(noisy, schedule.timestep_map[index], lmk_2d, mask, batch[audio], keep)
            decoded = prior.decode(predicted)
        weights = settings.losses
        terms = terms_on_head(decoded, batch, weights)
        terms["latent"] = (predicted.float() - target).square().mean()
        loss = sum((getattr(weights, name) * value for name, value in terms.items()), target.new_zeros(()))
        return terms | {"loss": loss}

    return losses


def fit_denoiser(
    training: Clips,
    validation: Clips,
    asset: HeadAsset,
    prior: MotionPrior,
    out_dir: Path,
    *,
    settings: DenoiserSettings,
    course: Course,
    seed: int,
    device: torch.device,
    initial: Denoiser | None = None,
    snapshots: Snapshots | None = None,
) -> tuple[Denoiser, TrainingRecord]:
    """Train a denoiser on the latent means of a frozen motion prior.

    Each sample has its own mask. Its audio and all of its landmarks are dropped independently, which trains the
    branches that guidance uses.

    Args:
        training: training clips, with landmarks and audio.
        validation: validation clips.
        asset: the head model.
        prior: the motion prior; its weights are not changed.
        out_dir: gets history.csv and ``resume/``.
        settings: of the training.
        course: what determines the weights, see `Course`.
        seed: of all random draws.
        device: where to train.
        initial: network to start from, with its statistics of inputs; it is changed. None: random weights.
        snapshots: writes the snapshots; None: none are written.
    """
    torch.manual_seed(seed)
    denoiser = initial or _new_denoiser(training, prior, settings)
    denoiser.to(device)
    prior = prior.to(device).eval().requires_grad_(False)
    make_task: Callable[..., Task] = PublishedDenoiserTask if settings.recipe == "published" else _our_task
    task = make_task(
        denoiser,
        prior,
        training,
        validation,
        asset,
        settings=settings,
        seed=seed,
        device=device,
        share=Share.current(),
    )
    hooks = Hooks() if snapshots is None else snapshots.hooks(denoiser)
    if settings.sampled.windows and Share.current().process == 0:
        sampled = SampledValidation(
            fixed_windows(validation, settings.sampled.windows, None, seed),
            denoiser,
            prior,
            asset,
            settings=settings.sampled,
            seed=seed,
            precision=settings.loop.precision,
            device=device,
        )
        hooks = replace(hooks, sampled=sampled)
    record = train(task, settings=settings.loop, out_dir=out_dir, course=course, seed=seed, device=device, hooks=hooks)
    return denoiser, record


def _new_denoiser(training: Clips, prior: MotionPrior, settings: DenoiserSettings) -> Denoiser:
    """A denoiser with random weights, except wav2vec2's, and the statistics of its inputs."""
    denoiser = Denoiser(denoiser_config(settings, prior))
    if isinstance(denoiser.audio_encoder, Wav2Vec2Encoder):
        initialise_wav2vec2(denoiser.audio_encoder, settings.wav2vec2)
    else:
        known = input_statistics(training)
        denoiser.set_landmark_statistics(known["face"], known["spread"])
        denoiser.audio_encoder.set_statistics(known["mel"], known["mel_spread"])
    return denoiser


def initialise_wav2vec2(encoder: Wav2Vec2Encoder, settings: Wav2Vec2Settings) -> None:
    """Load wav2vec2's initial weights from the configured file; ``random`` keeps those that it was built with.

    Raises:
        ConfigError: the configuration says neither.
        AssetError: the file does not fit, see `models.wav2vec2_weights`.
    """
    if settings.weights is None:
        raise ConfigError(NO_WAV2VEC2_WEIGHTS)
    if settings.weights != RANDOM:
        load_wav2vec2(encoder.model, settings.weights)


def _our_task(
    denoiser: Denoiser,
    prior: MotionPrior,
    training: Clips,
    validation: Clips,
    asset: HeadAsset,
    *,
    settings: DenoiserSettings,
    seed: int,
    device: torch.device,
    share: Share,
) -> WindowTask:
    """Our recipe: windows at any tempo with augmentation, and losses on latents, lips and landmark vertices."""
    schedule = NoiseSchedule.cosine().to(device)
    terms_on_head = HeadTerms(asset).to(device)
    mouth_swap = MouthSwap(asset).to(device)
    losses = denoiser_losses(denoiser, prior, schedule, terms_on_head, mouth_swap, settings=settings, device=device)
    held_out = fixed_windows(validation, settings.loop.validation_windows, settings.masks, seed)
    held_out = {name: value.to(device) for name, value in held_out.items()}
    dataset = WindowDataset(
        training, seed=seed, augment=settings.augment, masks=settings.masks, tempo=settings.augment.tempo
    )
    return WindowTask(denoiser, "denoiser", dataset, held_out, losses, settings.loop, share)
