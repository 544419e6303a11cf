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

#: Validation windows that go through the network at once, so that memory does not grow with their number.
VALIDATION_BATCH = 64


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


def validation_rows(count: int) -> list[slice]:
    """Rows of the batches of ``count`` validation windows, at most `VALIDATION_BATCH` each."""
    return [slice(first, min(first + VALIDATION_BATCH, count)) for first in range(0, count, VALIDATION_BATCH)]


def mean_terms(found: Iterable[tuple[int, Losses]]) -> Losses:
    """Mean loss terms of several batches, each given as its number of windows and its terms."""
    total, sums = 0, Losses()
    for size, terms in found:
        total += size
        sums = {name: sums.get(name, 0) + size * value for name, value in terms.items()}
    return {name: value / total for name, value in sums.items()}


def validation_terms(windows: Batch, terms: Callable[[Batch], Losses]) -> Losses:
    """Mean loss terms of validation windows that are in memory.

    Args:
        windows: all windows, on the device of the training.
        terms: loss terms of a batch of them.
    """
    batches = ({name: value[rows] for name, value in windows.items()} for rows in validation_rows(_size(windows)))
    return mean_terms((_size(batch), terms(batch)) for batch in batches)


def _size(batch: Batch) -> int:
    return len(next(iter(batch.values())))


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
        return validation_terms(self.held_out, self.terms)
