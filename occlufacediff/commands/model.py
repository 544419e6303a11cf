"""Which networks and which head model a command runs with: those given, else the open ones."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from occlufacediff.stages.open_head import open_head
from occlufacediff.weights import open_weights

#: Head model that the workflow leaves beside networks trained by it.
WORKFLOW_HEAD = Path("resources/open_head.npz")


def find_model(checkpoint: Path | None, head: Path | None, console: Console) -> tuple[Path, Path]:
    """Checkpoint and head to run with.

    Args:
        checkpoint: as given; None for the open weights.
        head: as given; None for the open head that goes with the open weights. For another checkpoint it is the
            workflow's, where the current folder has one.
        console: told that the open head is built.

    Raises:
        AssetError: this build has no weights, or the head cannot be built.
        ConfigError: the head cannot be kept.
    """
    weights = open_weights() if checkpoint is None else checkpoint
    if head is None and checkpoint is not None and WORKFLOW_HEAD.is_file():
        head = WORKFLOW_HEAD
    return weights, head or open_head(lambda line: console.print(line, soft_wrap=True, markup=False))
