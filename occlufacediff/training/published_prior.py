"""The published training of the motion prior: FLINT's, with a loss on all vertices of the head."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from occlufacediff.config.training import MotionPriorSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.training.loop import autocast
from occlufacediff.training.published_windows import Clips, Drawing, PublishedWindows
from occlufacediff.training.share import Share
from occlufacediff.training.task import Batch, Losses, micro_batches, validation_terms
from occlufacediff.training.windows import collate


def start_at_zero(prior: MotionPrior) -> None:
    """Set the linear layer after the decoder's transformer to zero, as FLINT's training does."""
    nn.init.zeros_(prior.decoder.after.weight)
    nn.init.zeros_(prior.decoder.after.bias)


class PublishedPriorTask:
    """The published training of the motion prior as a `Task`.

    Args:
        model: the motion prior, on ``device``.
        training: training clips.
        validation: validation clips.
        asset: the head model.
        settings: of the training.
        seed: of all draws.
        device: where the network is.
        share: rows of each micro-batch that this process trains on.
    """

    label = "motion prior"

    def __init__(
        self,
        model: MotionPrior,
        training: Clips,
        validation: Clips,
        asset: HeadAsset,
        *,
        settings: MotionPriorSettings,
        seed: int,
        device: torch.device,
        share: Share,
    ) -> None:
        self.model: nn.Module = model
        self.prior = model
        self.settings = settings
        self.published = settings.published
        self.device = device
        self.share = share
        head = HeadModel(asset)
        if self.published.vertices == "landmarks":
            head = head.subset(head.landmark_vertices)
        self.head = head.to(device)
        self.dataset = PublishedWindows(training, self._drawing(seed, settings.loop.batch_size))
        windows = PublishedWindows(validation, self._drawing(seed + 1, 1))
        count = min(settings.loop.validation_windows, 4 * len(validation))
        held_out = collate([windows[index] for index in range(count)])
        self.held_out = {name: value.to(device) for name, value in held_out.items()}

    @property
    def epoch_size(self) -> int:
        """Micro-batches per epoch."""
        return self.dataset.epoch_size

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """See `Task.batches`."""
        on_gpu = self.device.type == "cuda"
        return micro_batches(self.dataset, first, last, self.settings.loop, self.share, on_gpu=on_gpu)

    def prepare(self, micro_batch: int) -> None:
        """Nothing changes between micro-batches."""

    def losses(self, batch: Batch) -> Losses:
        """Terms of a batch: ``vertices`` in square metres, ``kl`` per latent; motion's squared errors are only logged.

        The head is not posed: prediction and truth have the clip's identity and no global rotation.
        """
        motion = torch.cat([batch["exp"], batch["jaw"]], -1)
        with autocast(self.settings.loop, self.device):
            mean, logvar = self.prior.encode(motion)
            latents = mean
            if self.model.training or self.published.sampled_validation:
                draw = self.share.randn_like if self.model.training else torch.randn_like
                latents = mean + torch.exp(0.5 * logvar) * draw(mean)
            decoded = self.prior.decode(latents)
        return prior_terms(
            self.head,
            decoded=decoded.float(),
            mean=mean.float(),
            logvar=logvar.float(),
            batch=batch,
            vertex_weight=self.published.vertex_weight,
            kl_weight=self.published.kl_weight,
        )

    def validate(self) -> Losses:
        """Terms of the validation windows."""
        return validation_terms(self.held_out, self.losses)

    def _drawing(self, seed: int, size: int) -> Drawing:
        return Drawing(
            seed=seed,
            length=self.published.window,
            per_clip=1,
            batch_size=size,
            skip_last_start=self.published.skip_last_start,
        )


def prior_terms(
    head: HeadModel,
    *,
    decoded: torch.Tensor,
    mean: torch.Tensor,
    logvar: torch.Tensor,
    batch: Batch,
    vertex_weight: float,
    kl_weight: float,
) -> Losses:
    """Terms of the published loss of the motion prior, and ``loss``.

    ``vertices`` is the mean squared error of vertex coordinates in square metres; ``kl`` is the mean over latents of
    ``-0.5 * sum(1 + logvar - mean^2 - exp(logvar))``.

    Args:
        head: all vertices or some.
        decoded: (B, T, E + 3) reconstructed motion.
        mean: (B, T / 8, D).
        logvar: (B, T / 8, D).
        batch: the windows, with ``exp`` (B, T, E), ``jaw`` (B, T, 3) and ``shape`` (B, S).
        vertex_weight: of ``vertices``.
        kl_weight: of ``kl``.
    """
    frames = decoded.shape[1]
    shape = batch["shape"].repeat_interleave(frames, 0)
    straight = shape.new_zeros(len(shape), 3)
    exp, jaw = decoded[..., :-3], decoded[..., -3:]
    moved = head.vertices(shape, exp.flatten(0, 1), straight, jaw.flatten(0, 1))
    with torch.no_grad():
        still = head.vertices(shape, batch["exp"].flatten(0, 1), straight, batch["jaw"].flatten(0, 1))
    terms = {
        "vertices": (moved - still).square().mean(),
        "kl": (-0.5 * (1 + logvar - mean.square() - logvar.exp()).sum(-1)).mean(),
        "expression": (exp - batch["exp"]).square().mean(),
        "jaw": (jaw - batch["jaw"]).square().mean(),
    }
    return terms | {"loss": vertex_weight * terms["vertices"] + kl_weight * terms["kl"]}
