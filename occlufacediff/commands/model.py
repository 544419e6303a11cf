"""Networks and head model of a command: the given ones, else the open ones."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from occlufacediff.stages.open_head import head_with_digest, open_head
from occlufacediff.weights import open_weights


def find_model(checkpoint: Path | None, head: Path | None, console: Console) -> tuple[Path, Path]:
    """Select checkpoint and head model.

    Args:
        checkpoint: given checkpoint; None for the open weights.
        head: given head model; None for the head with the checkpoint's digest in ``resources/heads`` of the current
            folder if it exists there, else the open head.
        console: prints a line if the open head is built.

    Raises:
        AssetError: the package contains no weights, the checkpoint cannot be read, or the head cannot be built.
        ConfigError: the cache for the head is not writable.
    """
    weights = open_weights() if checkpoint is None else checkpoint
    if head is None and checkpoint is not None:
        from occlufacediff.models.checkpoint import checkpoint_info

        digest = checkpoint_info(checkpoint / "denoiser").head_digest
        head = None if digest is None else head_with_digest(digest)
    return weights, head or open_head(lambda line: console.print(line, soft_wrap=True, markup=False))
