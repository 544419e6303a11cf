"""What is said, heard in one way or several: the motion it asks for, and which visemes sound when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.speech.columns import PHONES
from occlufacediff.speech.phones import Phones, phone_features
from occlufacediff.speech.rules import VISEMES_OF_PHONES, rules_motion

#: Frames over which a viseme is felt before and after its sound.
_NEAR_FRAMES = 1.2
_VISEMES = sorted({viseme for visemes in VISEMES_OF_PHONES.values() for viseme in visemes})
#: (40, V) how much of each viseme a phone goes through.
_SHARES = np.array(
    [[VISEMES_OF_PHONES[name].count(one) / len(VISEMES_OF_PHONES[name]) for one in _VISEMES] for name in PHONES]
)


def spoken_motion(
    hearings: Sequence[Phones], frames: int, names: tuple[str, ...], *, strength: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Expression of these ``names`` and jaw (T, E + 3), the mean of `rules_motion` over ``hearings`` of one sound.

    Raises:
        ValueError: nobody listened: no hearings.
    """
    if not hearings:
        raise ValueError("hearings: got none, needs one or more")
    motions = [rules_motion(phones, frames, names, strength=strength) for phones in hearings]
    return np.asarray(np.mean(motions, axis=0, dtype=np.float64))


def viseme_columns(hearings: Sequence[Phones], frames: int) -> NDArray[np.float64]:
    """How much each viseme is heard (T, V), the mean over ``hearings`` of one sound, about its mean over the clip."""
    heard = np.mean([phone_features(phones, frames) for phones in hearings], axis=0, dtype=np.float64) @ _SHARES
    near = gaussian_filter1d(heard, _NEAR_FRAMES, axis=0)
    return np.asarray(near - near.mean(axis=0))
