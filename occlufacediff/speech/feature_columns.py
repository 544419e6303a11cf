"""Column layout of the speech features. This module needs no phone recogniser, so training can import it anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.speech.phones import PHONES, SILENCE

#: The first columns of `features.speech_features` are spectral bands. They are wide enough to blur single harmonics,
#: which makes voices more alike, and narrow enough to keep the formants. The other columns are `PHONES`.
N_BANDS = 20
#: Number of columns of `features.speech_features`.
N_FEATURES = N_BANDS + len(PHONES)


def padding_row(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row (C,) that pads ``audio`` (M, C), a log-mel spectrogram or speech features, after the end of a clip.

    Spectral columns take the minimum of the audio, phone columns take silence.
    """
    if audio.shape[1] != N_FEATURES:
        return np.full(audio.shape[1], audio.min(), audio.dtype)
    row = np.zeros(N_FEATURES, audio.dtype)
    row[:N_BANDS] = audio[:, :N_BANDS].min()
    row[N_BANDS + PHONES.index(SILENCE)] = 1
    return row
