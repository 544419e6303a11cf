"""Settings and files of a training that must fit each other, checked when the run starts. No heavy imports."""

from __future__ import annotations

import ast
import struct
import zipfile
from pathlib import Path
from typing import Any

from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.checkpoints import KEPT, check_networks, description_of, initial_checkpoint

#: Expressions of the head model that the published networks need.
PUBLISHED_EXPRESSIONS = 100
#: Values of a latent of the published motion prior.
PUBLISHED_LATENTS = 128
#: Name of the head model that the workflow builds.
OPEN = "open"
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
    elif config.run.motion_prior is not None:
        _check_kept(config, Path(config.run.motion_prior))
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


def _check_head_of(key: str, folder: str, described: dict[str, Any], config: Config) -> None:
    """A network must have as many expressions as the head model; the open head is built with its own."""
    names = described.get("expression_names") or []
    if config.head is None:
        if described.get("head_name") != OPEN:
            raise ConfigError(
                f"Configuration, {key}: the networks in {folder} belong to the head model "
                f"{described.get('head_name')}, but head is null, which builds the open head; give their head model as "
                "head."
            )
    elif len(names) != (found := expressions_of(Path(config.head))):
        raise ConfigError(
            f"Configuration, {key}: the networks in {folder} have {len(names)} expressions (head model "
            f"{described.get('head_name')}), but {config.head} has {found}; give their head model as head, or other "
            "networks."
        )


def _check_kept(config: Config, folder: Path) -> None:
    """The motion prior that is used must fit the head model and the denoiser's preset."""
    described = description_of(KEPT, folder, "motion_prior")
    _check_head_of(KEPT, str(folder), described, config)
    latents = (described.get("model") or {}).get("latent_dim")
    if config.denoiser.preset == "published" and latents != PUBLISHED_LATENTS:
        raise ConfigError(
            f"Configuration, denoiser.preset: 'published' needs latents of {PUBLISHED_LATENTS} values, but the motion "
            f"prior of {KEPT} ({folder}) has {latents}; use the preset 'open' or 'compact', or another motion prior."
        )


def _check_initial(config: Config, folder: str) -> None:
    """The denoiser to start from must be the preset's, and both networks must have been trained together."""
    described = check_networks("run.init_from", folder)
    _check_head_of("run.init_from", folder, described["motion_prior"], config)
    audio = (described["denoiser"].get("model") or {}).get("audio")
    if audio != AUDIO[config.denoiser.preset]:
        fitting = [preset for preset, kind in AUDIO.items() if kind == audio]
        raise ConfigError(
            f"Configuration, denoiser.preset: got {config.denoiser.preset!r}, but the denoiser of run.init_from "
            f"({folder}) needs {' or '.join(map(repr, fitting)) or 'another preset'}."
        )
