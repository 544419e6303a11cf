"""What the training benchmarks share: a random head of FLAME's size, random packed clips, the published training."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from packed import write_data
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from occlufacediff.config.loop import LoopSettings
from occlufacediff.config.published_recipe import Wav2Vec2Settings
from occlufacediff.config.training import DenoiserSettings, MotionPriorSettings
from occlufacediff.datasets.packed import PackedClips
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.training.denoiser import denoiser_config
from occlufacediff.training.motion_prior import prior_config
from occlufacediff.training.optimisation import make_optimizer
from occlufacediff.training.phases import Phase, enter_phase
from occlufacediff.training.published_denoiser import PublishedDenoiserTask
from occlufacediff.training.published_prior import prior_terms
from occlufacediff.training.share import Share

Batch = dict[str, Tensor]
Training = TypeVar("Training", bound=PublishedDenoiserTask)

#: A small wav2vec2 with random weights.
SMALL = Wav2Vec2Settings(
    weights="random",
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)


def head_of_flames_size(*, small: bool) -> HeadAsset:
    """A random head with 105 landmarks: 5,023 vertices and 5 joints as FLAME, or 600 vertices if ``small``."""
    rng = np.random.default_rng(0)
    vertices = 600 if small else 5023
    faces = rng.permuted(np.tile(np.arange(vertices), (2, 1)), axis=1).reshape(-1)[: vertices * 2 // 3 * 3]
    landmarks = np.array(sorted({*LIPS, *range(0, 468, 4)})[:105])
    return HeadAsset(
        name="random",
        v_template=0.1 * rng.standard_normal((vertices, 3)),
        faces=faces.reshape(-1, 3),
        shapedirs=1e-3 * rng.standard_normal((vertices, 3, 300)),
        expdirs=1e-3 * rng.standard_normal((vertices, 3, 100)),
        posedirs=1e-3 * rng.standard_normal((vertices, 3, 36)),
        J_regressor=np.full((5, vertices), 1 / vertices),
        parents=np.array([-1, 0, 1, 1, 1]),
        weights=np.full((vertices, 5), 0.2),
        lmk_face_idx=rng.integers(0, vertices * 2 // 3, len(landmarks)),
        lmk_b_coords=np.full((len(landmarks), 3), 1 / 3),
        landmark_indices=landmarks,
        expression_names=tuple(f"e{number}" for number in range(100)),
        regions={"lips": np.arange(254)},
    )


def random_clips(folder: Path, clips: int, frames: int = 75) -> PackedClips:
    """Random packed clips with waveforms, written to ``folder``, which must not exist."""
    folder.mkdir(parents=True)
    write_data(folder, clips, frames, "waveform")
    return open_clips(folder)


def open_clips(folder: Path) -> PackedClips:
    """The clips that `random_clips` wrote."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        subjects = sorted({row["subject"] for row in csv.DictReader(file)})
    return PackedClips(
        folder / "manifest.csv",
        "train",
        face=[folder / "face" / f"{subject}.h5" for subject in subjects],
        landmarks=True,
        audio=[folder / "waveform" / f"{subject}.h5" for subject in subjects],
        audio_as="waveform",
    )


def published_settings(*, small: bool, **loop: Any) -> DenoiserSettings:
    """The published preset and recipe; ``small``: with a small wav2vec2."""
    wav2vec2 = SMALL if small else Wav2Vec2Settings(weights="random")
    published = LoopSettings(
        batch_size=16, accumulate=4, learning_rate=1e-4, schedule="constant", warmup_steps=0, weight_decay=1e-3,
        decay="all", beta2=0.999, clip_norm=None, ema_decay=0.0, validation_windows=2,
    )  # fmt: skip
    return DenoiserSettings(
        preset="published", recipe="published", wav2vec2=wav2vec2, loop=replace(published, **loop),
        audio_dropout=0.1, landmark_dropout=0.0,
    )  # fmt: skip


def published_task(
    settings: DenoiserSettings,
    asset: HeadAsset,
    clips: PackedClips,
    device: torch.device,
    *,
    kind: type[Training] = PublishedDenoiserTask,
) -> Training:
    """The published training of the denoiser with random weights, as an object of the class ``kind``."""
    torch.manual_seed(0)
    prior_settings = MotionPriorSettings(preset="published", recipe="published")
    prior = MotionPrior(prior_config(prior_settings, asset)).to(device)
    denoiser = Denoiser(denoiser_config(settings, prior)).to(device)
    return kind(denoiser, prior, clips, clips, asset, settings=settings, seed=1, device=device, share=Share())


def to(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


class Steps:
    """Optimizer steps of a task in one phase, on micro-batches from an iterator.

    Args:
        task: what is trained.
        phase: which parts of the audio encoder are frozen.
    """

    def __init__(self, task: PublishedDenoiserTask, phase: Phase) -> None:
        self.task, self.phase = task, phase
        self.denoiser = task.denoiser
        self.optimizer = make_optimizer(self.denoiser, task.settings.loop)

    def micro_batch(self, batch: Batch) -> Tensor:
        """Loss and gradients of a micro-batch."""
        self.denoiser.train()
        enter_phase(self.denoiser, self.phase)
        loss = self.task.losses(batch)["loss"]
        (loss / self.task.settings.loop.accumulate).backward()
        return loss.detach()

    def run(self, batches: Iterator[Batch], steps: int) -> None:
        """Take ``steps`` optimizer steps."""
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            for _ in range(self.task.settings.loop.accumulate):
                self.micro_batch(to(next(batches), self.task.device))
            self.optimizer.step()


def convolution_backward_flops(*shapes: Any, out_shape: Any = None, **_: Any) -> int:
    """Operations of the backward pass of a convolution, as many as its forward pass for each gradient that is needed.

    torch's own count leaves out that a grouped convolution connects channels of the same group only. The arguments are
    those of ``aten.convolution_backward``, tensors as shapes.
    """
    gradient, _, weight = shapes[:3]
    needed = shapes[-1]
    transposed = shapes[7]
    places = shapes[1][2:] if transposed else gradient[2:]
    forward = 2 * gradient[0] * prod(places) * prod(weight)
    return forward * (bool(needed[0]) + bool(needed[1]))


def flop_counter() -> FlopCounterMode:
    """Counts operations, also of grouped convolutions."""
    return FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: convolution_backward_flops}
    )


def prior_flops_per_window(asset: HeadAsset, *, size: int = 4) -> float:
    """Operations of a forward and backward pass of the published training of the motion prior, per window."""
    settings = MotionPriorSettings(preset="published", recipe="published")
    prior = MotionPrior(prior_config(settings, asset)).train()
    frames, draw = settings.published.window, torch.Generator().manual_seed(0)
    sizes = {"exp": (frames, asset.n_exp), "jaw": (frames, 3), "shape": (asset.n_shape,)}
    batch = {name: 0.1 * torch.randn(size, *shape, generator=draw) for name, shape in sizes.items()}
    counter = flop_counter()
    with counter:
        mean, logvar = prior.encode(torch.cat([batch["exp"], batch["jaw"]], -1))
        decoded = prior.decode(mean + torch.exp(0.5 * logvar) * torch.randn_like(mean))
        terms = prior_terms(
            HeadModel(asset), decoded=decoded, mean=mean, logvar=logvar, batch=batch, vertex_weight=1e6,
            kl_weight=0.001,
        )  # fmt: skip
        terms["loss"].backward()
    return counter.get_total_flops() / size


def flops_per_window(task: PublishedDenoiserTask, batch: Batch, phase: Phase) -> float:
    """Floating-point operations of a window's forward and backward pass, counted by torch.

    A product of matrices (N, K) and (K, M) counts 2 N K M. Layer drop is off, so that all layers count. See
    `convolution_backward_flops`.
    """
    steps = Steps(task, phase)
    drops: list[tuple[Any, float]] = []
    for module in task.denoiser.modules():
        if hasattr(module, "config") and hasattr(module.config, "layerdrop"):
            drops.append((module.config, module.config.layerdrop))
            module.config.layerdrop = 0.0
    counter = flop_counter()
    with counter:
        steps.micro_batch(batch)
    for config, drop in drops:
        config.layerdrop = drop
    task.denoiser.zero_grad(set_to_none=True)
    return counter.get_total_flops() / len(batch["exp"])


def counted_parts(task: PublishedDenoiserTask, batch: Batch) -> dict[str, float]:
    """Operations of a window in a forward pass of the audio encoder, of the whole denoiser, and of the loss."""
    result = {}
    calls: dict[str, Callable[[], object]] = {
        "wav2vec2": lambda: task.denoiser.audio_encoder(batch["waveform"], 64),
        "all": lambda: task.losses(batch),
    }
    task.denoiser.eval()
    for name, call in calls.items():
        counter = flop_counter()
        with torch.no_grad(), counter:
            call()
        result[name] = counter.get_total_flops() / len(batch["exp"])
    return result
