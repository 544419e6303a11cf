"""Training of the motion prior: an autoencoder with a small KL term and a loss on the head's vertices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from occlufacediff.config.training import LossSettings, MotionPriorSettings
from occlufacediff.datasets.clips import Clips
from occlufacediff.errors import ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.layers import FRAMES_PER_LATENT
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.training.hooks import Hooks
from occlufacediff.training.loop import TrainingRecord, autocast, train
from occlufacediff.training.objective import HeadTerms
from occlufacediff.training.published_prior import PublishedPriorTask, start_at_zero
from occlufacediff.training.share import Share
from occlufacediff.training.snapshots import Snapshots
from occlufacediff.training.state import Course
from occlufacediff.training.task import Batch, Losses, Task, WindowTask
from occlufacediff.training.windows import WindowDataset, batches, fixed_windows


def prior_config(settings: MotionPriorSettings, asset: HeadAsset) -> MotionPriorConfig:
    """Sizes of the motion prior for a head.

    Raises:
        ConfigError: published sizes with a head model that has another number of expressions.
    """
    if settings.preset == "compact":
        return MotionPriorConfig.compact(asset.n_exp + 3)
    config = replace(MotionPriorConfig.published(), isolated_inference=settings.isolated_inference)
    if settings.fit_to_head:
        return replace(config, motion_dim=asset.n_exp + 3)
    if config.motion_dim != asset.n_exp + 3:
        raise ConfigError(
            f"motion_prior.preset: 'published' needs a head with {config.motion_dim - 3} expressions, "
            f"{asset.name} has {asset.n_exp}; use 'compact', a FLAME head, or motion_prior.fit_to_head"
        )
    return config


def motion_of(batch: Batch) -> Tensor:
    """[exp, jaw] (B, T, E + 3) of a batch."""
    return torch.cat([batch["exp"], batch["jaw"]], -1)


def motion_statistics(store: Clips) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (M,) of motion over all frames of a split."""
    count, total, square = 0, 0.0, 0.0
    for index in range(len(store)):
        motion = store[index].motion.astype(np.float64)
        count, total, square = count + len(motion), total + motion.sum(0), square + (motion**2).sum(0)
    mean = total / count
    spread = np.sqrt(np.maximum(square / count - mean**2, 0.0))
    return torch.from_numpy(np.float32(mean)), torch.from_numpy(np.float32(spread))


def principal_components(store: Clips, prior: MotionPrior, seed: int) -> tuple[Tensor, Tensor]:
    """Components (K, 8 M) of 8 frames of scaled motion over a split, and their standard deviations (K,)."""
    dataset = WindowDataset(store, seed=seed)
    count = min(4 * len(store), 2048)
    windows = torch.cat([motion_of(b) for b in batches(dataset, first=0, last=-(-count // 64), size=64, workers=0)])
    scaled = (windows - prior.motion_mean) / prior.motion_std
    # Blocks start at every second frame, so that components do not depend on the start of a block.
    blocks = scaled.unfold(1, FRAMES_PER_LATENT, 2).transpose(2, 3).flatten(2).flatten(0, 1).double()
    variance, basis = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    most = min(prior.config.latent_dim, int((variance > 1e-6).sum()))
    chosen = torch.arange(len(variance) - 1, len(variance) - 1 - most, -1)
    basis = basis[:, chosen].T
    # The sign of a component is arbitrary; fixing it makes results independent of the library.
    basis = basis * basis.gather(1, basis.abs().argmax(1, keepdim=True)).sign()
    return basis.float(), variance[chosen].sqrt().float()


@torch.no_grad()
def latent_statistics(prior: MotionPrior, store: Clips, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) of latents over at most 1,024 windows of a split."""
    dataset = WindowDataset(store, seed=seed)
    count = min(8 * len(store), 1024)
    latents = [
        prior.encode(motion_of(batch).to(device))[0].flatten(0, 1)
        for batch in batches(dataset, first=0, last=-(-count // 64), size=64, workers=0)
    ]
    values = torch.cat(latents)
    return values.mean(0), values.std(0)


def fit_motion_prior(
    training: Clips,
    validation: Clips,
    asset: HeadAsset,
    out_dir: Path,
    *,
    settings: MotionPriorSettings,
    course: Course,
    seed: int,
    device: torch.device,
    snapshots: Snapshots | None = None,
) -> tuple[MotionPrior, TrainingRecord]:
    """Train a motion prior; its latents have zero mean and unit spread over the training split.

    Args:
        training: training clips.
        validation: validation clips.
        asset: the head model.
        out_dir: gets history.csv and ``resume/``.
        settings: of the training.
        course: what determines the weights, see `Course`.
        seed: of all random draws.
        device: where to train.
        snapshots: writes the snapshots; None: none are written.
    """
    torch.manual_seed(seed)
    prior = MotionPrior(prior_config(settings, asset))
    if settings.preset == "compact":
        mean, spread = motion_statistics(training)
        # Coefficients with almost no variance must not dominate after scaling.
        prior.set_motion_statistics(mean, spread.clamp_min(0.1 * float(spread.mean())))
        prior.set_linear_path(*principal_components(training, prior, seed))
    elif settings.recipe == "published":
        start_at_zero(prior)
    prior.to(device)
    make_task: Callable[..., Task] = PublishedPriorTask if settings.recipe == "published" else _our_task
    task = make_task(
        prior,
        training,
        validation,
        asset,
        settings=settings,
        seed=seed,
        device=device,
        share=Share.current(),
    )

    def finished(network: MotionPrior) -> MotionPrior:
        """The network with the statistics of its latents, as it is used."""
        if settings.preset == "compact" or (settings.recipe == "published" and settings.published.standardise_latents):
            network.set_latent_statistics(*latent_statistics(network, training, seed, device))
        return network

    hooks = Hooks() if snapshots is None else snapshots.hooks(prior, finished)
    record = train(task, settings=settings.loop, out_dir=out_dir, course=course, seed=seed, device=device, hooks=hooks)
    return finished(prior), record


def _our_task(
    prior: MotionPrior,
    training: Clips,
    validation: Clips,
    asset: HeadAsset,
    *,
    settings: MotionPriorSettings,
    seed: int,
    device: torch.device,
    share: Share,
) -> WindowTask:
    """Our recipe: errors of motion, of landmark vertices and of their steps, and a small KL term."""
    terms_on_head = HeadTerms(asset).to(device)
    weights = LossSettings(
        lips=settings.vertex_weight,
        vertices=settings.vertex_weight,
        velocity=settings.velocity_weight,
        closure=0.0,
        landmarks_2d=0.0,
    )

    def losses(batch: Batch) -> Losses:
        if prior.training and settings.amplitude:
            drawn = share.rand(len(batch["exp"]), 1, prior.config.motion_dim, device="cpu")
            scale = 1 + settings.amplitude * (2 * drawn - 1)
            motion = motion_of(batch) * scale.to(device)
            batch = batch | {"exp": motion[..., :-3], "jaw": motion[..., -3:]}
        motion = motion_of(batch)
        with autocast(settings.loop, device):
            decoded, mean, logvar = prior(motion, share.randn_like if prior.training else torch.randn_like)
        terms = terms_on_head(decoded, batch, weights)
        terms["motion"] = ((decoded.float() - motion) / prior.motion_std).square().mean()
        mean, logvar = mean.float(), logvar.float()
        terms["kl"] = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss = settings.motion_weight * terms["motion"] + settings.kl_weight * terms["kl"]
        for name in ("lips", "vertices", "velocity"):
            if name in terms:
                loss = loss + getattr(weights, name) * terms[name]
        return terms | {"loss": loss}

    held_out = fixed_windows(validation, settings.loop.validation_windows, None, seed)
    held_out = {name: value.to(device) for name, value in held_out.items()}
    dataset = WindowDataset(training, seed=seed, tempo=settings.tempo)
    return WindowTask(prior, "motion prior", dataset, held_out, losses, settings.loop, share)
