"""Which networks and which head model a command runs with: those given, else the open ones."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from occlufacediff.stages.open_head import head_with_digest, open_head
from occlufacediff.weights import open_weights


def find_model(checkpoint: Path | None, head: Path | None, console: Console) -> tuple[Path, Path]:
    """Checkpoint and head to run with.

    Args:
        checkpoint: as given; None for the open weights.
        head: as given; None for the open head that goes with the open weights. For another checkpoint the head with
            the checkpoint's digest is taken from resources/heads of the current folder, where it is there.
        console: prints a line when the open head is built.

    Raises:
        AssetError: this build has no weights, the checkpoint cannot be read, or the head cannot be built.
        ConfigError: the cache for the head is not writable.
    """
    weights = open_weights() if checkpoint is None else checkpoint
    if head is None and checkpoint is not None:
        from occlufacediff.models.checkpoint import checkpoint_info

        digest = checkpoint_info(checkpoint / "denoiser").head_digest
        head = None if digest is None else head_with_digest(digest)
    return weights, head or open_head(lambda line: console.print(line, soft_wrap=True, markup=False))
