"""The two readers with their weights: read visemes and emotions from motion, and a file that holds both networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from occlufacediff import __version__
from occlufacediff.config.synthetic import KNOWN_EMOTIONS
from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.readers.features import MotionFeatures
from occlufacediff.readers.network import Reader
from occlufacediff.readers.viseme_letters import LETTERS

#: Value of the configuration for the readers in the package, and their place below the package's weights.
OPEN = "open"
FILE = "model.safetensors"
FORMAT = "occlufacediff readers 1"
_REMEDY = "make it with `snakemake reader_weights`"


@dataclass(frozen=True, eq=False)
class Reading:
    """What the readers found in a clip of T frames.

    Attributes:
        letters: (T,) most probable sequence of numbers in `viseme_letters.LETTERS`.
        emotions: (T, 8) scores of `KNOWN_EMOTIONS`.
    """

    letters: NDArray[np.int64]
    emotions: NDArray[np.float32]

    def emotion(self, frames: NDArray[np.bool_] | None = None) -> str | None:
        """The emotion with the highest mean score over ``frames`` (T,), or over all; None without frames."""
        chosen = self.emotions if frames is None else self.emotions[frames]
        return KNOWN_EMOTIONS[int(chosen.mean(axis=0).argmax())] if len(chosen) else None


@dataclass(frozen=True, eq=False)
class Readers:
    """The viseme reader and the emotion reader of one head model.

    Attributes:
        visemes: network on the columns of the mouth.
        emotions: network on all columns.
        transitions: (C, C) logarithms of the probabilities of a letter (row) and the next frame's (column).
        frequencies: (C,) logarithms of the letters' shares.
        features: input of the networks.
    """

    visemes: Reader
    emotions: Reader
    transitions: NDArray[np.float32]
    frequencies: NDArray[np.float32]
    features: MotionFeatures

    @torch.no_grad()
    def read(self, motion: NDArray[np.floating]) -> Reading:
        """Read a motion (T, E + 3)."""
        values = torch.from_numpy(self.features(motion))[None]
        columns = torch.from_numpy(self.features.mouth_columns)
        scores = torch.log_softmax(self.visemes(values[:, :, columns])[0], dim=-1).numpy()
        return Reading(
            best_path(scores - self.frequencies, self.transitions, self.frequencies), self.emotions(values)[0].numpy()
        )


def best_path(
    scores: NDArray[np.floating], transitions: NDArray[np.floating], first: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Most probable sequence (T,) of classes by the Viterbi algorithm.

    Args:
        scores: (T, C) logarithms of the likelihood of the frame under each class, up to a constant of the frame.
        transitions: (C, C) logarithms of the probabilities of a class (row) and the next frame's class (column).
        first: (C,) logarithms of the probabilities of the first frame's class.
    """
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    best = np.asarray(scores[0] + first, dtype=np.float64)
    came = np.zeros(scores.shape, dtype=np.int64)
    for frame in range(1, len(scores)):
        reached = best[:, None] + transitions
        came[frame] = reached.argmax(axis=0)
        best = reached.max(axis=0) + scores[frame]
    path = np.empty(len(scores), dtype=np.int64)
    path[-1] = best.argmax()
    for frame in range(len(scores) - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return path


def save_readers(path: Path, readers: Readers, head_digest: str) -> None:
    """Write both networks to a ``.safetensors`` file. Equal readers give equal bytes."""
    state: dict[str, Tensor] = {
        **{f"visemes.{name}": tensor.contiguous() for name, tensor in readers.visemes.state_dict().items()},
        **{f"emotions.{name}": tensor.contiguous() for name, tensor in readers.emotions.state_dict().items()},
        "transitions": torch.from_numpy(readers.transitions),
        "frequencies": torch.from_numpy(readers.frequencies),
    }
    about = {
        "format": FORMAT,
        "head_digest": head_digest,
        "letters": "".join(LETTERS),
        "emotions": list(KNOWN_EMOTIONS),
        "points": [len(readers.features.mouth), len(readers.features.face)],
        "width": readers.visemes.width,
        "components": [readers.visemes.components, readers.emotions.components],
        "version": __version__,
    }
    with written_aside(path) as aside:
        # One key only: the order of several differs from one saving to the next.
        save_file(state, aside, metadata={"about": json.dumps(about, sort_keys=True)})


def load_readers(path: Path, asset: HeadAsset) -> Readers:
    """Load the readers of a head model.

    Raises:
        AssetError: the file is missing, damaged or not one of readers, or belongs to another head model.
    """
    about, tensors = _contents(path)
    if about.get("head_digest") != asset.digest:
        raise AssetError(
            f"{path}: the readers belong to the head model {str(about.get('head_digest'))[:12]}, this evaluation uses "
            f"{asset.name} ({asset.digest[:12]}); train readers for it with `snakemake reader_weights` and give the "
            "file in evaluation.readers, or set evaluation.readers to null"
        )
    features = MotionFeatures.of(LandmarkBasis.of(asset))
    if about.get("letters") != "".join(LETTERS) or about.get("emotions") != list(KNOWN_EMOTIONS):
        raise AssetError(f"{path}: the readers have other classes than this version; {_REMEDY}")
    try:
        networks = {}
        for name, columns, components, classes in (
            ("visemes", len(features.mouth_columns), about["components"][0], len(LETTERS)),
            ("emotions", 3 * len(features.face), about["components"][1], len(KNOWN_EMOTIONS)),
        ):
            network = Reader(columns, components, classes, about["width"])
            prefix = f"{name}."
            state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            network.load_state_dict(state)
            networks[name] = network.eval()
        return Readers(
            networks["visemes"],
            networks["emotions"],
            tensors["transitions"].numpy(),
            tensors["frequencies"].numpy(),
            features,
        )
    except (KeyError, RuntimeError) as error:
        raise AssetError(f"{path}: entries are missing or have other shapes ({error}); {_REMEDY}") from error


def belongs_to(path: Path, asset: HeadAsset) -> bool:
    """Whether readers belong to this head model.

    Raises:
        AssetError: the file is missing, damaged or not one of readers.
    """
    return _contents(path)[0].get("head_digest") == asset.digest


def _contents(path: Path) -> tuple[dict, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise AssetError(f"{path}: readers cannot be loaded ({error}); {_REMEDY}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise AssetError(f"{path}: not a file of readers; {_REMEDY}")
    return about, tensors
