"""Speech features, the audio input of the open weights: a normalised coarse spectrum and the recognised phones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.audio import log_mel
from occlufacediff.media.rates import MEL_BANDS, MEL_RATE
from occlufacediff.speech.feature_columns import N_BANDS, N_FEATURES
from occlufacediff.speech.phones import Phones, phone_features

Float = NDArray[np.float32]

#: Rows more than this below the loud level are pauses; units of the log-mel.
_ACTIVE_RANGE = 2.0
#: Share of the rows above the loud level.
_LOUD_SHARE = 0.1


def speech_features(waveform: NDArray[np.floating], mel: Float | None = None, phones: Phones | None = None) -> Float:
    """Speech features (N // 160, 60) of a waveform (N,) at 16 kHz: 20 spectral bands and 40 phones, 100 rows a second.

    The bands are the log-mel minus the loud level of the clip, minus half of each band's mean over active rows. This
    removes the recording level and the microphone's response. Row m is centred on 10 m ms.

    Args:
        waveform: the complete audio of a clip.
        mel: `log_mel` of the waveform (N // 160, 80), computed if None.
        phones: phones of the waveform, recognised if None.
    """
    mel = log_mel(np.asarray(waveform, np.float32)) if mel is None else mel
    if not len(mel):
        return np.zeros((0, N_FEATURES), np.float32)
    bands = mel.reshape(len(mel), N_BANDS, MEL_BANDS // N_BANDS).mean(axis=2)
    level = bands.mean(axis=1)
    loud = np.quantile(level, 1 - _LOUD_SHARE)
    active = level >= loud - _ACTIVE_RANGE
    bands = bands - loud
    response = (bands - bands.mean(axis=1, keepdims=True))[active].mean(axis=0)
    if phones is None:
        # Machines that train from recognised phones need no recogniser.
        from occlufacediff.speech.recognition import recognise_phones

        phones = recognise_phones(waveform)
    shares = phone_features(phones, len(mel), fps=MEL_RATE)
    return np.concatenate([np.maximum(bands - 0.5 * response, -4.0), shares], axis=1).astype(np.float32)
