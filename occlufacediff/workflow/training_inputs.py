"""Settings and files of a training that must fit each other, checked when the run starts. No heavy imports."""

from __future__ import annotations

import ast
import struct
import zipfile
from pathlib import Path

from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.checkpoints import check_networks, initial_checkpoint

#: Expressions of the head model that the published networks need.
PUBLISHED_EXPRESSIONS = 100
#: Kind of audio that each preset of the denoiser has as input.
AUDIO = {"compact": "log_mel", "open": "speech", "published": "wav2vec2"}


def check_training(config: Config) -> None:
    """Refuse presets, head model and initial weights that do not fit each other, before any clip is processed.

    Raises:
        ConfigError: names the key, its value and the remedy.
    """
    initial = initial_checkpoint(config)
    if initial is not None:
        _check_initial(config, initial)
    elif config.motion_prior.preset == "published":
        if not config.motion_prior.fit_to_head:
            _check_head(config)
    elif config.denoiser.preset == "published":
        raise ConfigError(
            "Configuration, denoiser.preset: 'published' needs the published motion prior, but motion_prior.preset is "
            f"{config.motion_prior.preset!r}; set it to 'published' too."
        )


def expressions_of(head: Path) -> int:
    """Number of expressions of a head asset, from the header of its array ``expdirs`` (V, 3, E).

    Raises:
        ConfigError: the file is not a head asset.
    """
    try:
        with zipfile.ZipFile(head) as archive, archive.open("expdirs.npy") as file:
            major = file.read(8)[6]
            size = struct.unpack("<H" if major == 1 else "<I", file.read(2 if major == 1 else 4))[0]
            return int(ast.literal_eval(file.read(size).decode("latin1"))["shape"][2])
    except (OSError, KeyError, ValueError, SyntaxError, IndexError, struct.error, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"Configuration, head: {head} is not a head model ({error}); make one with occlufacediff convert "
            "FLAME_FOLDER --to models/flame2020.npz."
        ) from None


def _check_head(config: Config) -> None:
    need = f"'published' needs a head model with {PUBLISHED_EXPRESSIONS} expressions"
    remedy = (
        "give FLAME as head (occlufacediff convert FLAME_FOLDER --to models/flame2020.npz), use 'compact', or set "
        "motion_prior.fit_to_head"
    )
    if config.head is None:
        raise ConfigError(
            f"Configuration, motion_prior.preset: {need}, but head is null, which builds the open head; {remedy}."
        )
    found = expressions_of(Path(config.head))
    if found != PUBLISHED_EXPRESSIONS:
        raise ConfigError(f"Configuration, motion_prior.preset: {need}, but {config.head} has {found}; {remedy}.")


def _check_initial(config: Config, folder: str) -> None:
    """The denoiser to start from must be the preset's, and both networks must have been trained together."""
    described = check_networks("run.init_from", folder)
    audio = (described["denoiser"].get("model") or {}).get("audio")
    if audio != AUDIO[config.denoiser.preset]:
        fitting = [preset for preset, kind in AUDIO.items() if kind == audio]
        raise ConfigError(
            f"Configuration, denoiser.preset: got {config.denoiser.preset!r}, but the denoiser of run.init_from "
            f"({folder}) needs {' or '.join(map(repr, fitting)) or 'another preset'}."
        )
