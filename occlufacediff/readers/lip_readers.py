"""The user's lip readers: AV-HuBERT's kind (text or phonemes), a network of features, and SyncNet.

docs/readers.md fixes the inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.readers import LipReadingSettings
from occlufacediff.errors import AssetError
from occlufacediff.readers import syncnet
from occlufacediff.readers.measures import sync_errors
from occlufacediff.readers.mouth_crops import CENTRE
from occlufacediff.readers.programs import Program, load_program

Float32 = NDArray[np.float32]
#: Labels of the space between words.
SPACES = ("|", "<space>", "\u2581")
#: Label that begins a word, in the vocabularies of sentence pieces.
_WORD_START = "\u2581"


@dataclass(frozen=True, eq=False)
class LipReader:
    """A network of the kind ``av_hubert`` or ``features``.

    Attributes:
        program: the network.
        labels: (C,) of its output, the blank first; empty for features.
        units: ``text`` or ``phonemes``.
    """

    program: Program
    labels: tuple[str, ...]
    units: str

    def features(self, mouths: Float32) -> Float32:
        """Features (T, C) of mouths (1, T, 1, 88, 88).

        Raises:
            AssetError: the network returns another shape or numbers that are not finite.
        """
        frames = mouths.shape[1]
        found = _one(self.program, self.program(mouths))
        if found.ndim == 3 and found.shape[0] == 1:
            found = found[0]
        if found.ndim != 2 or len(found) != frames or found.dtype.kind != "f":
            raise _wrong_shape(self.program, found, f"features ({frames}, C), one row for each frame")
        return _finite(self.program, found)

    def read(self, mouths: Float32) -> list[str]:
        """Labels that the network reads from mouths (1, T, 1, 88, 88).

        The network returns the numbers of labels (N,), or scores (T', C) of all labels for each step. Scores are
        decoded by the best label of each step: repetitions are joined, the blank is dropped.

        Raises:
            AssetError: the network returns another shape, or numbers of labels that do not exist.
        """
        found = _one(self.program, self.program(mouths))
        if found.dtype.kind in "iu":
            numbers = found.reshape(-1) if found.ndim <= 1 or found.shape[0] == 1 else found
            if numbers.ndim != 1:
                raise _wrong_shape(self.program, found, "numbers of labels (N,)")
            if len(numbers) and not (numbers.min() >= 0 and numbers.max() < len(self.labels)):
                raise AssetError(
                    f"{self.program.path}: returned the label {int(numbers.max())}, but there are {len(self.labels)} "
                    "labels; give the network's own labels in evaluation.lip_reading.labels"
                )
            return [self.labels[number] for number in numbers if number != 0]
        if found.ndim == 3 and found.shape[0] == 1:
            found = found[0]
        if found.ndim != 2 or found.shape[1] != len(self.labels):
            raise _wrong_shape(self.program, found, f"scores (T, {len(self.labels)}) of the labels")
        best = _finite(self.program, found).argmax(axis=1)
        kept = best[np.flatnonzero(np.diff(best, prepend=-1))]
        return [self.labels[number] for number in kept if number != 0]

    def text(self, mouths: Float32) -> str:
        """The text that the network reads."""
        return "".join(
            " " if label in SPACES else label.replace(_WORD_START, " ") for label in self.read(mouths)
        ).strip()

    def phoneme_words(self, mouths: Float32) -> list[list[str]]:
        """The words of phonemes that the network reads."""
        words: list[list[str]] = [[]]
        for label in self.read(mouths):
            if label in SPACES:
                words.append([])
            else:
                words[-1].append(label)
        return [word for word in words if word]


def load_lip_reader(settings: LipReadingSettings) -> LipReader:
    """Load the reader of ``settings`` (kind ``av_hubert`` or ``features``) and try it on black mouths.

    Raises:
        AssetError: a file is missing or has another layout.
    """
    if settings.reader is None:
        raise ValueError("evaluation.lip_reading.reader: got nothing, needs a file")
    labels = read_labels(settings.labels) if settings.kind == "av_hubert" else ()
    reader = LipReader(load_program(settings.reader), labels, settings.units)
    trial = np.zeros((1, 5, 1, CENTRE, CENTRE), np.float32)
    reader.features(trial) if settings.kind == "features" else reader.read(trial)
    return reader


def read_labels(path: str | None) -> tuple[str, ...]:
    """Labels of a reader's output, one per line, the blank first.

    Raises:
        AssetError: the file is missing, has fewer than two labels or a label twice.
    """
    if path is None:
        raise AssetError(
            "evaluation.lip_reading.labels: got nothing, needs a text file with one label per line, the blank first"
        )
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(f"{path}: labels cannot be read ({error}); give a UTF-8 file, one label per line") from error
    labels = tuple(lines)
    if len(labels) < 2 or len(set(labels)) != len(labels) or "" in labels:
        raise AssetError(f"{path}: got {len(labels)} labels, needs two or more different ones, one per line")
    return labels


@dataclass(frozen=True, eq=False)
class SyncNet:
    """A network of the kind ``syncnet``: embeddings of video and audio windows."""

    program: Program

    def errors(self, faces: NDArray[np.uint8], waveform: NDArray[np.floating]) -> tuple[float, float]:
        """LSE-C and LSE-D of faces (T, 224, 224, 3) against audio (N,) at 16 kHz.

        Raises:
            AssetError: the network returns another shape.
            ValueError: the clip is shorter than a window.
        """
        pairs = [self.embeddings(*inputs) for inputs in syncnet.windows(faces, waveform)]
        video, audio = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return sync_errors(video, audio, syncnet.SHIFTS)

    def embeddings(self, video: Float32, audio: Float32) -> tuple[Float32, Float32]:
        """Embeddings (N, C) of windows of video (N, 3, 5, 224, 224) and of audio (N, 1, 13, 20).

        Raises:
            AssetError: the network does not return two arrays of that shape.
        """
        found = self.program(video, audio)
        if len(found) != 2:
            raise AssetError(f"{self.program.path}: returned {len(found)} arrays, needs two: of video and of audio")
        for one in found:
            if one.ndim != 2 or len(one) != len(video) or one.shape != found[0].shape or one.dtype.kind != "f":
                raise _wrong_shape(self.program, one, f"two embeddings ({len(video)}, C)")
        return _finite(self.program, found[0]), _finite(self.program, found[1])


def load_syncnet(settings: LipReadingSettings) -> SyncNet:
    """Load the network of ``settings`` (kind ``syncnet``) and try it on black faces.

    Raises:
        AssetError: the file is missing or has another layout.
    """
    if settings.reader is None:
        raise ValueError("evaluation.lip_reading.reader: got nothing, needs a file")
    network = SyncNet(load_program(settings.reader))
    network.embeddings(
        np.zeros((2, 3, syncnet.FRAMES, 224, 224), np.float32),
        np.zeros((2, 1, syncnet.N_MFCC, syncnet.MFCC_FRAMES), np.float32),
    )
    return network


def _one(program: Program, found: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len(found) != 1:
        raise AssetError(f"{program.path}: returned {len(found)} arrays, needs one")
    return found[0]


def _finite(program: Program, values: NDArray[Any]) -> Float32:
    if not np.isfinite(values).all():
        raise AssetError(f"{program.path}: returned numbers that are not finite; check its input normalisation")
    return values.astype(np.float32)


def _wrong_shape(program: Program, found: NDArray[Any], needed: str) -> AssetError:
    return AssetError(f"{program.path}: returned {found.dtype} of shape {found.shape}, needs {needed}")
