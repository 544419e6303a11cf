"""EMOCA's recogniser of emotions from coefficients (EmoDECA), with weights from a user's file.

A perceptron on the first 50 expression coefficients and the jaw of FLAME: four times a linear layer of 2048, batch
normalisation and a leaky ReLU (0.2), then a linear layer with ten outputs: eight emotions, valence and arousal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from occlufacediff.errors import AssetError
from occlufacediff.models.torch_archive import read_tensors
from occlufacediff.models.torch_entries import Entry, read_checkpoint

#: Emotions in the order of the outputs (AffectNet's), by their names in this package.
EMOTIONS = ("neutral", "happy", "sad", "surprised", "fear", "disgusted", "angry", "contempt")
N_EXPRESSION, N_JAW = 50, 3
WIDTH, HIDDEN, OUTPUTS = 2048, 4, len(EMOTIONS) + 2
SLOPE = 0.2
_STATE_KEYS = ("state_dict", "model_state_dict")
_NORM = ("weight", "bias", "running_mean", "running_var")
_REMEDY = (
    "needs the weights of EMOCA's recogniser: four times a linear layer of 2048 and batch normalisation on 53 "
    "coefficients, then a linear layer with 10 outputs"
)


class EmotionRecogniser:
    """Scores of the emotions in each frame of a motion."""

    def __init__(self, network: nn.Module) -> None:
        """Create it from a network with 53 inputs and 10 outputs, in evaluation mode."""
        self._network = network

    @torch.no_grad()
    def scores(self, motion: NDArray[np.floating]) -> NDArray[np.float32]:
        """Logarithms of the probabilities (T, 8) of `EMOTIONS` for a motion (T, E + 3) of FLAME; E at least 50.

        Expression coefficients after the 50th are ignored.

        Raises:
            AssetError: the motion has fewer expression coefficients.
        """
        count = motion.shape[1] - N_JAW
        if count < N_EXPRESSION:
            raise AssetError(
                f"evaluation.emotion_recogniser: the head model has {count} expression coefficients, EMOCA's "
                "recogniser reads 50 of FLAME; use a FLAME head model, or set evaluation.emotion_recogniser to null"
            )
        values = np.concatenate([motion[:, :N_EXPRESSION], motion[:, -N_JAW:]], axis=1).astype(np.float32)
        outputs = self._network(torch.from_numpy(values))
        return np.asarray(torch.log_softmax(outputs[:, : len(EMOTIONS)], dim=-1).numpy())


def recogniser_network() -> nn.Sequential:
    """The network with random weights."""
    layers: list[nn.Module] = []
    for number in range(HIDDEN):
        width = N_EXPRESSION + N_JAW if number == 0 else WIDTH
        layers += [nn.Linear(width, WIDTH), nn.BatchNorm1d(WIDTH), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, OUTPUTS))


def load_emotion_recogniser(path: Path | str) -> EmotionRecogniser:
    """Load the weights from a state dict (``.safetensors``, or a file of ``torch.save``), without running its code.

    The names of entries are free: a layer is a group of entries with a common name before the last dot, and layers are
    sorted by their names and numbers. The file may hold other networks under other prefixes.

    Raises:
        AssetError: the file is missing or unreadable, or holds no such network, or more than one.
    """
    path = Path(path)
    tensors = _tensors(path)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, entry = name.rpartition(".")
        if entry != "num_batches_tracked":
            groups.setdefault(group, {})[entry] = tensor
    folders: dict[str, list[str]] = {"": list(groups)}
    for group in groups:
        parts = group.split(".")
        for depth in range(1, len(parts)):
            folders.setdefault(".".join(parts[:depth]), []).append(group)
    fitting = sorted({found for names in folders.values() if (found := _fitting(names, groups)) is not None})
    if len(fitting) != 1:
        raise AssetError(f"{path}: holds {len(fitting) or 'no'} networks of this layout; {_REMEDY}")
    network = recogniser_network()
    targets = [layer for layer in network if not isinstance(layer, nn.LeakyReLU)]
    for layer, group in zip(targets, fitting[0], strict=True):
        for entry, tensor in groups[group].items():
            if not bool(torch.isfinite(tensor).all()):
                raise AssetError(f"{path}: entry '{group}.{entry}' is not finite; download it again")
        layer.load_state_dict({entry: tensor.float() for entry, tensor in groups[group].items()}, strict=False)
    return EmotionRecogniser(network.eval())


def _fitting(names: list[str], groups: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...] | None:
    """The groups in the order of the network's layers; None if they are not exactly its layers."""
    ordered = sorted(names, key=_natural)
    linear = [name for name in ordered if "weight" in groups[name] and groups[name]["weight"].ndim == 2]
    norms = [name for name in ordered if set(_NORM) <= set(groups[name])]
    if len(linear) != HIDDEN + 1 or len(norms) != HIDDEN or len(names) != len(linear) + len(norms):
        return None
    widths = [N_EXPRESSION + N_JAW, *[WIDTH] * HIDDEN]
    for number, name in enumerate(linear):
        rows = OUTPUTS if number == HIDDEN else WIDTH
        entries = groups[name]
        if entries["weight"].shape != (rows, widths[number]) or set(entries) != {"weight", "bias"}:
            return None
    if any(groups[name][entry].shape != (WIDTH,) for name in norms for entry in _NORM):
        return None
    return (*(name for pair in zip(linear, norms, strict=False) for name in pair), linear[HIDDEN])


def _natural(name: str) -> list[tuple[int, str]]:
    """Key that sorts ``layer10`` after ``layer9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise AssetError(f"{path}: not a readable safetensors file ({error}); {_REMEDY}") from error
    content = read_checkpoint(path)
    for key in _STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise AssetError(f"{path}: got a {type(content).__name__}, needs a dictionary of tensors; {_REMEDY}")
    return read_tensors({str(name): entry for name, entry in content.items() if isinstance(entry, Entry)})
