"""Reads wav2vec2's initial weights from the user's file; nothing in it is executed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from occlufacediff.errors import AssetError
from occlufacediff.models.published_names import new_weight_norm_name
from occlufacediff.models.torch_archive import Entry, read_checkpoint, read_tensors

#: Names of a folder's weights file, in order of preference.
FILES = ("model.safetensors", "pytorch_model.bin")
#: Prefix of the entries in files of models with a head, such as the one for speech recognition.
_PREFIX = "wav2vec2."
#: Entries of heads, which are left out.
_HEADS = ("lm_head.", "quantizer.", "project_q.", "project_hid.", "projector.", "classifier.")
#: Entries that a file may lack: some files for speech recognition have no mask embedding.
OPTIONAL = frozenset({"masked_spec_embed"})
_REMEDY = "give another file as denoiser.wav2vec2.weights, or set the sizes of this one in denoiser.wav2vec2"


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
    shapes = _shapes(file)
    names = {_plain(name): name for name in shapes if not _plain(name).startswith(_HEADS)}
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, shape in wanted.items():
        if name not in names:
            if name in OPTIONAL:
                continue
            raise AssetError(f"{file}: entry '{_PREFIX}{name}' is missing, needs shape {shape}; {_REMEDY}")
        if shapes[names[name]] != shape:
            raise AssetError(f"{file}: entry '{names[name]}' has shape {shapes[names[name]]}, needs {shape}; {_REMEDY}")
    extra = [full for name, full in names.items() if name not in wanted]
    if extra:
        raise AssetError(
            f"{file}: entry '{extra[0]}' is not part of this wav2vec2 ({len(extra)} such entries); {_REMEDY}"
        )
    tensors = _tensors(file, list(names.values()))
    state = {name: _finite(tensors[full], full, file) for name, full in names.items()}
    model.load_state_dict(state, strict=False)
    return file


def _plain(name: str) -> str:
    """The name of an entry in ``Wav2Vec2Model`` of newer torch versions."""
    return new_weight_norm_name(name.removeprefix(_PREFIX))


def _is_safetensors(file: Path) -> bool:
    return file.suffix == ".safetensors"


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of all entries, before any tensor is read."""
    if _is_safetensors(file):
        try:
            with safe_open(file, framework="pt") as content:
                return {name: tuple(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise AssetError(f"{file}: damaged or not a safetensors file ({error}); download it again") from error
    return {name: entry.shape for name, entry in _entries(file).items()}


def _entries(file: Path) -> dict[str, Entry]:
    content = read_checkpoint(file)
    if not isinstance(content, dict):
        raise AssetError(f"{file}: got a {type(content).__name__}, needs a dictionary of tensors")
    return {str(name): entry for name, entry in content.items() if isinstance(entry, Entry)}


def _tensors(file: Path, names: list[str]) -> dict[str, Tensor]:
    if _is_safetensors(file):
        with safe_open(file, framework="pt") as content:
            return {name: content.get_tensor(name) for name in names}
    entries = _entries(file)
    return read_tensors({name: entries[name] for name in names})


def _finite(tensor: Tensor, name: str, file: Path) -> Tensor:
    tensor = tensor.float()
    if not bool(torch.isfinite(tensor).all()):
        raise AssetError(f"{file}: entry '{name}' contains values that are not finite; download the file again")
    return tensor
