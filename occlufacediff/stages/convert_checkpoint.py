"""Convert published models to this program's formats, for ``occlufacediff convert``."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.head.flame import EXPRESSION_NAMES, find_flame, load_flame

_CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin")


def convert(
    source: Path,
    target: Path,
    *,
    head_name: str | None = None,
    audio_config: Path | None = None,
    embedding: Path | None = None,
    masks: Path | None = None,
) -> str:
    """Write a published denoiser or motion prior as ``.safetensors`` with its YAML, or FLAME as a ``.npz`` head model.

    Args:
        source: checkpoint (``.pt``, ``.ckpt``), or FLAME's folder or model file.
        target: ``.safetensors`` for a network, ``.npz`` for a head model.
        head_name: name of the head model; None: by FLAME's file name, ``flame2020`` for networks.
        audio_config: ``config.json`` of the denoiser's wav2vec2; None: the base size.
        embedding: MediaPipe landmark embedding; None: searched in FLAME's folder.
        masks: FLAME's region masks; None: searched in FLAME's folder.

    Returns:
        One line that describes the written file.

    Raises:
        AssetError: the source is missing, damaged, refused or of another kind.
        ConfigError: the target's suffix does not fit the source.
    """
    if not source.exists():
        raise AssetError(f"{source}: no such file or folder")
    if source.is_file() and source.suffix.lower() in _CHECKPOINTS:
        if target.suffix != ".safetensors":
            raise ConfigError(f"--to: got {target}, needs a name that ends in .safetensors for the network in {source}")
        return _network(source, target, head_name or "flame2020", audio_config)
    if target.suffix != ".npz":
        raise ConfigError(
            f"--to: got {target}, needs a name that ends in .npz for the head model in {source} "
            f"(networks are files that end in {', '.join(_CHECKPOINTS)})"
        )
    if embedding is not None and source.is_file():
        model, found, found_masks, name = source, embedding, None, head_name or "flame2020"
    else:
        model, found, found_masks, name = find_flame(source)
    asset = load_flame(model, embedding or found, masks or found_masks, name=head_name or name)
    asset.save(target)
    regions = f"{len(asset.regions)} regions" if asset.regions else "no regions (FLAME_masks.pkl is missing)"
    return (
        f"{target}: head model {asset.name}, digest {asset.digest[:12]}, {asset.n_vertices} vertices, "
        f"{len(asset.landmark_indices)} landmarks, {regions}, from {model}"
    )


def _network(source: Path, target: Path, head_name: str, audio_config: Path | None) -> str:
    from occlufacediff.models.checkpoint import checkpoint_files
    from occlufacediff.models.published_checkpoint import convert_checkpoint, read_audio_sizes

    audio = None if audio_config is None else read_audio_sizes(audio_config)
    kind = convert_checkpoint(source, target, head_name=head_name, expression_names=EXPRESSION_NAMES, audio=audio)
    return f"{target}: {kind.replace('_', ' ')} for the head model {head_name}, with {checkpoint_files(target)[1].name}"
