"""Shards of landmark clips. Imports little, because the workflow reads it when it starts."""

from __future__ import annotations

from occlufacediff.config.open_weights import LandmarkClipSettings


def shard_names(settings: LandmarkClipSettings) -> list[str]:
    """Names of all shards; the validation shards are last."""
    return [f"shard_{number:03d}" for number in range(settings.shards)]


def shard_clips(shard: str, settings: LandmarkClipSettings) -> range:
    """Numbers of the clips of a shard.

    Raises:
        ValueError: the shard does not exist.
    """
    first = shard_names(settings).index(shard) * settings.shard_clips
    return range(first, min(first + settings.shard_clips, settings.clips))
