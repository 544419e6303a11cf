"""Sound as the open weights hear it: a coarse spectrum without level and channel, and the phones of a recogniser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import MEL_BANDS, MEL_RATE
from occlufacediff.media.sound import log_mel
from occlufacediff.speech.columns import BANDS, WIDTH
from occlufacediff.speech.phones import Phones, phone_features, recognise

Float = NDArray[np.float32]

#: Rows within this much of the loud ones are sound, the others pauses; units of the log-mel.
_ACTIVE = 2.0
#: Share of the rows that are louder than the loudness speech is measured by.
_LOUD = 0.1


def sound_features(waveform: NDArray[np.floating], mel: Float | None = None, phones: Phones | None = None) -> Float:
    """Features (N // 160, 60) of a waveform (N,) at 16 kHz, 100 rows a second.

    The bands are log-mel less its loudness over the whole sound, and less half of each band's mean over the rows that
    sound: neither the level of a recording nor its microphone says anything about lips. Row m is centred on 10 m ms.

    Args:
        waveform: the whole of a clip's sound.
        mel: its `log_mel`, phones: those heard in it, if they are there already.
    """
    mel = log_mel(np.asarray(waveform, np.float32)) if mel is None else mel
    if not len(mel):
        return np.zeros((0, WIDTH), np.float32)
    bands = mel.reshape(len(mel), BANDS, MEL_BANDS // BANDS).mean(axis=2)
    level = bands.mean(axis=1)
    loud = np.quantile(level, 1 - _LOUD)
    active = level >= loud - _ACTIVE
    bands = bands - loud
    shape = (bands - bands.mean(axis=1, keepdims=True))[active].mean(axis=0)
    shares = phone_features(recognise(waveform) if phones is None else phones, len(mel), fps=MEL_RATE)
    return np.concatenate([np.maximum(bands - 0.5 * shape, -4.0), shares], axis=1).astype(np.float32)
