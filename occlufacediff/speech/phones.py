"""Timed phones and their features. `recognition` finds phones in audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]

SILENCE = "SIL"
#: The 39 CMU phones, then silence: the columns of `phone_features`.
PHONES = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH", SILENCE,
)  # fmt: skip

_COLUMN = {name: column for column, name in enumerate(PHONES)}
#: Rows of features per block: bounds the memory for long audio.
_BLOCK = 1000


@dataclass(frozen=True, eq=False)
class Phones:
    """K consecutive phones without gaps, from the start of the audio to its end.

    Attributes:
        names: (K,) names from `PHONES`; noises count as silence.
        starts, ends: (K,) seconds.
    """

    names: tuple[str, ...]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]

    @classmethod
    def from_starts(cls, segments: Sequence[tuple[str, float]], end: float) -> Phones:
        """Build phones from (name, start) pairs. The last phone ends at ``end``; unknown names become silence."""
        starts = np.array([start for _, start in segments], dtype=np.float64)
        names = tuple(name if name in _COLUMN else SILENCE for name, _ in segments)
        return cls(names, starts, np.append(starts, end)[1:])


def write_phones(group: h5py.Group, phones: Phones) -> None:
    """Write phones into an empty group: ``phone`` (K,) numbers in `PHONES`, ``start`` and ``end`` (K,) in seconds."""
    group["phone"] = np.array([_COLUMN[name] for name in phones.names], dtype=np.uint8)
    group["start"], group["end"] = phones.starts, phones.ends


def read_phones(group: h5py.Group) -> Phones:
    """Read phones that `write_phones` wrote.

    Raises:
        AssetError: an entry is missing.
    """
    try:
        names = tuple(PHONES[number] for number in group["phone"][()])
        return Phones(names, group["start"][()], group["end"][()])
    except KeyError as error:
        raise AssetError(
            f"{group.file.filename}: {group.name} holds no phones ({error}); delete the file and recognise them again"
        ) from error


def phone_features(phones: Phones, frames: int, fps: int = FPS) -> Float:
    """Share (T, 40) of each frame that each of `PHONES` fills.

    Frame i lasts from ``(i - 0.5) / fps`` to ``(i + 0.5) / fps``. Time outside the audio counts as silence, so that
    each row sums to 1.
    """
    edges = (np.arange(frames + 1) - 0.5) / fps
    features = np.zeros((frames, len(PHONES)))
    columns = np.eye(len(PHONES))[np.array([_COLUMN[name] for name in phones.names], dtype=np.intp)]
    for first in range(0, frames, _BLOCK):
        low, high = edges[:-1][first : first + _BLOCK, None], edges[1:][first : first + _BLOCK, None]
        near = slice(*np.searchsorted(phones.ends, low[0]), *np.searchsorted(phones.starts, high[-1]))
        overlap = np.minimum(high, phones.ends[near]) - np.maximum(low, phones.starts[near])  # (T, K)
        features[first : first + _BLOCK] = (np.clip(overlap, 0.0, None) * fps) @ columns[near]
    features[:, _COLUMN[SILENCE]] += np.clip(1.0 - features.sum(axis=1), 0.0, 1.0)
    return features.astype(np.float32)
