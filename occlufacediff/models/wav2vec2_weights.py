"""Reads wav2vec2's initial weights from the user's file; nothing in it is executed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from occlufacediff.errors import AssetError
from occlufacediff.models.torch_archive import read_tensors
from occlufacediff.models.torch_entries import read_checkpoint
from occlufacediff.models.wav2vec2_entries import FILES, entry_shapes, is_safetensors, matched_names


def weights_file(path: Path | str) -> Path:
    """The weights file at a path, which is a file or a folder with ``model.safetensors`` or ``pytorch_model.bin``.

    Raises:
        AssetError: there is none.
    """
    path = Path(path)
    found = [path] if path.is_file() else [path / name for name in FILES if (path / name).is_file()]
    if not found:
        what = f"the folder has none of {', '.join(FILES)}" if path.is_dir() else "there is no such file or folder"
        raise AssetError(f"{path}: {what}; denoiser.wav2vec2.weights needs weights of wav2vec2")
    return found[0]


def load_wav2vec2(model: nn.Module, path: Path | str) -> Path:
    """Copy weights from a file into a wav2vec2 model.

    Accepted are safetensors files and ``torch.save`` files, with or without the prefix ``wav2vec2.``, and with either
    of torch's names for weight-normed convolutions. Heads are left out.

    Args:
        model: transformers' ``Wav2Vec2Model``.
        path: see `weights_file`.

    Returns:
        The file.

    Raises:
        AssetError: no such file, damaged, or an entry is missing, unknown or of another shape; the message names the
            file, the entry and the shapes.
    """
    file = weights_file(path)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    names = matched_names(file, entry_shapes(file), wanted)
    tensors = _tensors(file, list(names.values()))
    state = {name: _finite(tensors[full], full, file) for name, full in names.items()}
    model.load_state_dict(state, strict=False)
    return file


def _tensors(file: Path, names: list[str]) -> dict[str, Tensor]:
    if is_safetensors(file):
        with safe_open(file, framework="pt") as content:
            return {name: content.get_tensor(name) for name in names}
    entries = read_checkpoint(file)
    return read_tensors({name: entries[name] for name in names})


def _finite(tensor: Tensor, name: str, file: Path) -> Tensor:
    tensor = tensor.float()
    if not bool(torch.isfinite(tensor).all()):
        raise AssetError(f"{file}: entry '{name}' contains values that are not finite; download the file again")
    return tensor
