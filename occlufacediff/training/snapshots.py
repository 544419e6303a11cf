"""Snapshots of a training: complete checkpoints beside the run's networks, which `checkpoint:` can load."""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from occlufacediff.files import written_aside
from occlufacediff.models.checkpoint import checkpoint_files
from occlufacediff.training.hooks import Hooks, TrainingRecord
from occlufacediff.training.state import set_aside

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Snapshots:
    """Writes the snapshots of a training.

    Attributes:
        folder: of all snapshots of the run.
        name: of the network: ``motion_prior`` or ``denoiser``.
        save: writes a network to the folder of a checkpoint.
        motion_prior: checkpoint of the motion prior, which a snapshot of a denoiser contains too.
    """

    folder: Path
    name: str
    save: Callable[[Path, nn.Module, TrainingRecord], None]
    motion_prior: Path | None = None

    def folder_of(self, step: int) -> Path:
        """Folder of a snapshot; it has ``denoiser/`` and ``motion_prior/``, or the latter alone."""
        return self.folder / f"{self.name}_step_{step:06d}"

    def hooks(self, network: Network, finished: Callable[[Network], Network] | None = None) -> Hooks:
        """Hooks of the loop.

        Args:
            network: the network that is trained.
            finished: completes a copy of it for use; None: it needs nothing.
        """

        def snapshot(record: TrainingRecord) -> None:
            folder = self.folder_of(record.step)
            if self.motion_prior is not None:
                for path in checkpoint_files(self.motion_prior):
                    with written_aside(folder / "motion_prior" / path.name) as aside:
                        shutil.copyfile(path, aside)
            self.save(folder / self.name, finished(copy.deepcopy(network)) if finished else network, record)

        return Hooks(snapshot=snapshot, has_snapshot=self.exists, set_aside=self.set_aside)

    def set_aside(self) -> None:
        """Move the snapshots of another training to a subfolder, so that none of them counts as one of this training.

        Raises:
            StorageError: they cannot be moved.
        """
        kept = set_aside(self.folder.glob(f"{self.name}_step_*"))
        if kept is not None:
            print(f"{kept}: keeps the snapshots of that training", file=sys.stderr, flush=True)

    def exists(self, step: int) -> bool:
        """Whether the snapshot of a step is complete; its configuration is written last."""
        return (self.folder_of(step) / self.name / "config.yaml").is_file()
