"""A small task with phases, for tests of the loop: parts freeze and unfreeze between micro-batches."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from occlufacediff.config.loop import LoopSettings
from occlufacediff.files import written_aside
from occlufacediff.training.loop import train
from occlufacediff.training.share import Share
from occlufacediff.training.state import Course
from occlufacediff.training.task import Batch, Losses

#: Micro-batches of a phase; no multiple of `accumulate` in the tests.
PHASE = 5
CPU = torch.device("cpu")


class ToyModel(nn.Module):
    """Two parts, one of which is frozen in every other phase and sometimes left out, and a BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        # A bias before a BatchNorm has no gradient but rounding, which Adam would amplify.
        self.first = nn.Linear(6, 8, bias=False)
        self.norm = nn.BatchNorm1d(8)
        self.audio = nn.Linear(6, 8)
        self.never = nn.Linear(2, 2).requires_grad_(False)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor, with_audio: bool) -> Tensor:
        """x (B, 6) to (B, 3)."""
        hidden = self.norm(self.first(x))
        if with_audio:
            hidden = hidden + self.audio(x)
        return self.last(torch.tanh(hidden))


class ToyTask:
    """A regression whose target is noisy, with the loss of a step that can be made not finite.

    Args:
        size: rows of a micro-batch.
        broken: micro-batches whose loss is not finite.
    """

    label = "toy"
    epoch_size = 4

    def __init__(self, size: int, broken: tuple[int, ...] = ()) -> None:
        torch.manual_seed(0)
        self.model = ToyModel()
        self.size, self.broken = size, broken
        self.share = Share.current()
        self.micro_batch = 0

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """Rows of this process."""
        for number in range(first, last):
            generator = torch.Generator().manual_seed(100 + number)
            x = torch.randn(self.size, 6, generator=generator)
            if number in self.broken:
                x[-1] = float("nan")
            yield {"x": x[self.share.rows(self.size)]}

    def prepare(self, micro_batch: int) -> None:
        """Freeze the audio part in every other phase."""
        self.micro_batch = micro_batch
        self.model.audio.requires_grad_(micro_batch // PHASE % 2 == 1)

    def losses(self, batch: Batch) -> Losses:
        """Mean squared error of a noisy target."""
        x = batch["x"]
        target = x[:, :3].sin() + 0.1 * self.share.randn_like(x[:, :3])
        loss = (self.model(x, self.micro_batch % 3 > 0) - target).square().mean()
        return {"loss": loss, "twice": 2 * loss}

    def validate(self) -> Losses:
        """The error on fixed rows."""
        x = torch.linspace(-1, 1, 60).view(10, 6)
        return {"loss": (self.model(x, True) - x[:, :3].sin()).square().mean()}


class Dying(ToyTask):
    """The first process is killed before a micro-batch."""

    die_at = -1

    def prepare(self, micro_batch: int) -> None:
        """As `ToyTask.prepare`, or the end."""
        if micro_batch == self.die_at and self.share.process == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        super().prepare(micro_batch)


def train_toy(
    settings: LoopSettings, out_dir: Path, broken: tuple[int, ...] = (), seed: int = 3, die_at: int = -1
) -> None:
    """Train the toy task; ``out_dir`` gets history.csv and ``weights.pt``."""
    torch.set_num_threads(1)
    task = Dying(settings.batch_size, broken)
    task.die_at = die_at
    train(task, settings=settings, out_dir=out_dir, course=Course({}, {"seed": str(seed)}), seed=seed, device=CPU)
    if Share.current().process == 0:
        with written_aside(out_dir / "weights.pt") as aside:
            torch.save(task.model.state_dict(), aside)
