"""What the training loop trains: a network with its batches, losses and validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset

from occlufacediff.config.loop import LoopSettings
from occlufacediff.datasets.clips import Float
from occlufacediff.training.share import Share
from occlufacediff.training.windows import WindowDataset, batches

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


class Task(Protocol):
    """What the loop needs of a training.

    Micro-batches have numbers: the loop takes ``accumulate`` of them for an optimizer step, and number
    ``step * accumulate + k`` is the k-th of a step. Everything a task draws for a micro-batch must depend on the seed
    and this number only, so that a resumed training makes the same draws as an uninterrupted one. The loop seeds torch
    with them before each call of `losses`. With several processes the draws are those of the whole micro-batch, and a
    process uses its rows of them, see `Share`.

    Attributes:
        model: the network that is trained, on the device of the training.
        label: name of the training in messages.
    """

    model: nn.Module
    label: str

    @property
    def epoch_size(self) -> int:
        """Micro-batches per epoch."""

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """This process' rows of the micro-batches from ``first`` up to ``last`` (excluded)."""

    def prepare(self, micro_batch: int) -> None:
        """Choose before a micro-batch what is frozen and which parts are in train mode.

        Called after ``model.train()``. What it sets must be a function of ``micro_batch`` alone.
        """

    def losses(self, batch: Batch) -> Losses:
        """Loss terms of a batch, each a mean over its samples; ``loss`` is minimised."""

    def validate(self) -> Losses:
        """Terms on the validation windows; called in eval mode, without gradients, with the EMA weights."""


def micro_batches(
    dataset: Dataset[dict[str, Float]], first: int, last: int, settings: LoopSettings, share: Share, *, on_gpu: bool
) -> Iterable[Batch]:
    """A process' rows of the micro-batches ``first`` up to ``last`` (excluded), as the loop's settings demand.

    Batches that go to a GPU are in pinned memory.
    """
    return batches(
        dataset,
        first=first,
        last=last,
        size=settings.batch_size,
        workers=settings.loader_workers,
        share=share,
        pin_memory=on_gpu,
    )


@dataclass
class WindowTask:
    """A task whose batches come from a `WindowDataset`, and whose validation gives the losses of fixed windows.

    Attributes:
        model: see `Task`.
        label: see `Task`.
        dataset: training windows.
        held_out: validation windows, on the device of the training.
        terms: loss terms of a batch.
        settings: of the loop.
        share: which rows of each micro-batch this process trains on.
    """

    model: nn.Module
    label: str
    dataset: WindowDataset
    held_out: Batch
    terms: Callable[[Batch], Losses]
    settings: LoopSettings
    share: Share

    @property
    def epoch_size(self) -> int:
        """Micro-batches until each clip was used once, on average."""
        return max(len(self.dataset.store) // self.settings.batch_size, 1)

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """See `Task.batches`."""
        on_gpu = next(self.model.parameters()).is_cuda
        return micro_batches(self.dataset, first, last, self.settings, self.share, on_gpu=on_gpu)

    def prepare(self, micro_batch: int) -> None:
        """Nothing changes between micro-batches."""

    def losses(self, batch: Batch) -> Losses:
        """See `Task.losses`."""
        return self.terms(batch)

    def validate(self) -> Losses:
        """Loss terms of the validation windows."""
        return self.terms(self.held_out)
