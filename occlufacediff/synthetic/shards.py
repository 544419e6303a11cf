"""Names of the shards of unrendered clips, and which clips they hold; light: the workflow asks at its start."""

from __future__ import annotations

from occlufacediff.config.open_weights import LandmarkClipSettings


def shard_names(settings: LandmarkClipSettings) -> list[str]:
    """Names of all shards, those for validation last."""
    return [f"shard_{number:03d}" for number in range(settings.shards)]


def shard_clips(shard: str, settings: LandmarkClipSettings) -> range:
    """Numbers of a shard's clips; raises ValueError where there is no such shard."""
    first = shard_names(settings).index(shard) * settings.shard_clips
    return range(first, min(first + settings.shard_clips, settings.clips))
