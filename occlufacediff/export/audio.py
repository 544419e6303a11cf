"""The audio beside exported files, whose formats hold none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from occlufacediff.files import written_aside
from occlufacediff.media.rates import SAMPLE_RATE

AUDIO_SUFFIX = ".wav"


def write_wav(path: Path, waveform: NDArray[np.floating]) -> None:
    """Write a waveform (N,) in [-1, 1] at 16 kHz as 16 bit PCM; its first sample belongs to frame 0.

    Raises:
        StorageError: see `files.written_aside`.
    """
    samples = np.rint(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    with written_aside(path) as aside:
        wavfile.write(aside, SAMPLE_RATE, samples)
