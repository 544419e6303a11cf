"""Reads and converts the published checkpoints: the denoiser (``.pt``) and the motion prior FLINT (``.ckpt``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.models.audio_encoder import Wav2Vec2Sizes
from occlufacediff.models.checkpoint import fill_state, save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.published_names import (
    COMPUTED,
    OURS_ONLY,
    new_weight_norm_name,
    published_denoiser_name,
    published_prior_name,
)
from occlufacediff.models.torch_archive import read_tensors
from occlufacediff.models.torch_entries import Entry, read_checkpoint

Kind = Literal["denoiser", "motion_prior"]
#: Keys under which training programs store the state of a network.
_STATE_KEYS = ("state_dict", "model_state_dict")
_PRIOR_PREFIXES = ("motion_encoder.", "motion_decoder.")
_DENOISER_PREFIX = "transformer_decoder."


def read_published(path: Path | str, *, audio: Wav2Vec2Sizes | None = None) -> Denoiser | MotionPrior:
    """Read the published denoiser or motion prior, in evaluation mode.

    The denoiser's entries are at the top level or under ``state_dict`` or ``model_state_dict``, with either of torch's
    names for weight-normed convolutions; the set of entries must match exactly. Of FLINT's Lightning checkpoint, the
    entries ``motion_encoder.*`` and ``motion_decoder.*`` are required and all others are ignored.

    Args:
        path: ``.pt`` or ``.ckpt`` file.
        audio: sizes of the denoiser's audio encoder; None for wav2vec2-base, as published.

    Raises:
        AssetError: neither of the two checkpoints, damaged, unsafe, or an entry is missing, unknown or of another
            shape; the message names file and entry.
    """
    path = Path(path)
    entries = _entries(path)
    if _kind(path, entries) == "motion_prior":
        found = {name: entry for name, entry in entries.items() if name.startswith(_PRIOR_PREFIXES)}
        return _load_entries(MotionPrior(MotionPriorConfig.published()), found, published_prior_name, path)
    config = DenoiserConfig.published()
    if audio is not None:
        config = replace(config, wav2vec2=audio)
    found = {new_weight_norm_name(name): entry for name, entry in entries.items()}
    return _load_entries(Denoiser(config), found, published_denoiser_name, path, computed=COMPUTED)


def convert_checkpoint(
    source: Path | str,
    target: Path | str,
    *,
    head_name: str,
    expression_names: Iterable[str],
    audio: Wav2Vec2Sizes | None = None,
) -> Kind:
    """Convert a published checkpoint to the format of `save_checkpoint`; its motion is that of FLAME.

    Args:
        source: see `read_published`.
        target: ``.safetensors`` file; its configuration is written to the same folder.
        head_name: name of the head model that the network's motion belongs to; the file does not identify it further.
        expression_names: names of that head model's expressions.
        audio: see `read_published`.

    Returns:
        The kind of network.

    Raises:
        AssetError: see `read_published`.
    """
    model = read_published(source, audio=audio)
    names = tuple(expression_names)
    save_checkpoint(
        target,
        model,
        head_name=head_name,
        head_digest=None,
        expression_names=names,
        training={"converted_from": Path(source).name, "sha256": sha256(source)},
    )
    return "motion_prior" if isinstance(model, MotionPrior) else "denoiser"


def read_audio_sizes(path: Path | str) -> Wav2Vec2Sizes:
    """Read the sizes of a wav2vec2 model from its ``config.json``.

    Raises:
        AssetError: not such a file, or an entry is missing.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = {field.name: content[field.name] for field in fields(Wav2Vec2Sizes)}
        return Wav2Vec2Sizes(**{**values, "conv_dim": tuple(int(width) for width in values["conv_dim"])})
    except KeyError as error:
        raise AssetError(f"{path}: entry {error} is missing; needs the config.json of a wav2vec2 model") from error
    except (OSError, ValueError, TypeError) as error:
        raise AssetError(f"{path}: not the config.json of a wav2vec2 model ({error})") from error


def _entries(path: Path) -> dict[str, Entry]:
    content = read_checkpoint(path)
    if not isinstance(content, dict):
        raise AssetError(f"{path}: got a {type(content).__name__}, needs a dictionary of tensors")
    for key in _STATE_KEYS:
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    return {str(name): entry for name, entry in content.items() if isinstance(entry, Entry)}


def _kind(path: Path, entries: Mapping[str, Entry]) -> Kind:
    if any(name.startswith(_PRIOR_PREFIXES) for name in entries):
        return "motion_prior"
    if any(name.startswith(_DENOISER_PREFIX) for name in entries):
        return "denoiser"
    first = ", ".join(list(entries)[:3]) or "no tensors"
    raise AssetError(
        f"{path}: neither the published denoiser (entries {_DENOISER_PREFIX}*) nor the motion prior FLINT (entries "
        f"{_PRIOR_PREFIXES[0]}*, {_PRIOR_PREFIXES[1]}*); its first entries are {first}"
    )


def _load_entries(
    model: Any,
    found: Mapping[str, Entry],
    published_name: Callable[[str], str],
    path: Path,
    *,
    computed: frozenset[str] = frozenset(),
) -> Any:
    """Load the entries of the file into the model; errors use the names of the file."""
    names = {name: published_name(name) for name in model.state_dict() if name not in OURS_ONLY}
    _check_entries(model, {name: found.get(published) for name, published in names.items()}, names, path)
    extra = sorted(set(found) - set(names.values()) - computed)
    if extra:
        raise AssetError(f"{path}: entry '{extra[0]}' is not part of the published model ({len(extra)} such entries)")
    tensors = read_tensors({published: found[published] for published in names.values()})
    state: dict[str, Tensor] = {name: tensor for name, tensor in model.state_dict().items() if name in OURS_ONLY}
    state |= {name: _check_finite(tensors[published], published, path) for name, published in names.items()}
    fill_state(model, state, path)
    return model.eval()


def _check_entries(model: nn.Module, entries: Mapping[str, Entry | None], names: Mapping[str, str], path: Path) -> None:
    """Check that every entry exists and has the right shape, before any tensor is read."""
    for name, tensor in model.state_dict().items():
        if name not in names:
            continue
        entry, shape = entries[name], tuple(tensor.shape)
        if entry is None:
            raise AssetError(f"{path}: entry '{names[name]}' is missing, expected shape {shape}")
        if entry.shape != shape:
            raise AssetError(f"{path}: entry '{names[name]}' has shape {entry.shape}, expected {shape}")


def _check_finite(tensor: Tensor, name: str, path: Path) -> Tensor:
    if tensor.is_floating_point():
        tensor = tensor.float()
        if not bool(torch.isfinite(tensor).all()):
            raise AssetError(f"{path}: entry '{name}' contains values that are not finite; the file is damaged")
    return tensor
