"""Input of SyncNet: windows of five faces and of 20 MFCC frames, in the layout of its public evaluation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from occlufacediff.media.rates import SAMPLE_RATE

Float32 = NDArray[np.float32]

#: Video frames of a window, and MFCC frames of the same 0.2 s.
FRAMES, MFCC_FRAMES = 5, 20
#: MFCC frames per video frame.
_PER_FRAME = 4
#: Largest offset of audio against video, in frames (LatentSync's port: 15).
SHIFTS = 15
N_MFCC = 13
_WINDOW, _HOP, _FFT, _FILTERS = 400, 160, 512, 26
_PRE_EMPHASIS, _LIFTER = 0.97, 22
_TINY = float(np.finfo(np.float64).eps)


def windows(
    faces: NDArray[np.uint8], waveform: NDArray[np.floating], batch: int = 16
) -> Iterator[tuple[Float32, Float32]]:
    """Video (N, 3, 5, 224, 224) and audio (N, 1, 13, 20) of windows at each start frame, at most ``batch`` at once.

    Video has the values 0 to 255 in the order blue, green, red.

    Args:
        faces: (T, 224, 224, 3) RGB.
        waveform: (N,) at 16 kHz, in [-1, 1].
        batch: largest number of windows.

    Raises:
        ValueError: the clip is shorter than a window.
    """
    coefficients = mfcc(np.asarray(waveform, np.float64) * 32768.0)
    count = min(len(faces) - FRAMES + 1, (len(coefficients) - MFCC_FRAMES) // _PER_FRAME + 1)
    if count < 1:
        raise ValueError(f"clip: got {len(faces)} frames and {len(waveform)} samples, needs {FRAMES} frames of audio")
    for first in range(0, count, batch):
        starts = range(first, min(first + batch, count))
        video = [faces[start : start + FRAMES, ..., ::-1].transpose(3, 0, 1, 2) for start in starts]
        spoken = [coefficients[_PER_FRAME * start : _PER_FRAME * start + MFCC_FRAMES].T for start in starts]
        yield np.stack(video).astype(np.float32), np.stack(spoken).astype(np.float32)[:, None]


def mfcc(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mel-frequency cepstral coefficients (M, 13) at 100 Hz of samples (N,) at 16 kHz, in units of 16 bits.

    Pre-emphasis 0.97, rectangular windows of 25 ms, power spectrum of 512 points divided by 512, 26 triangular filters
    from 0 to 8 kHz on the mel scale ``2595 log10(1 + f / 700)`` with corners at whole FFT bins, logarithm, orthonormal
    DCT-II, liftering ``1 + 11 sin(pi n / 22)``; coefficient 0 is the logarithm of the window's energy.
    """
    signal = np.asarray(samples, dtype=np.float64)
    signal = np.append(signal[:1], signal[1:] - _PRE_EMPHASIS * signal[:-1])
    count = 1 + max(0, -(-(len(signal) - _WINDOW) // _HOP))
    padded = np.pad(signal, (0, max(0, (count - 1) * _HOP + _WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2 / _FFT
    energy = np.maximum(power.sum(axis=1), _TINY)
    bands = np.maximum(power @ _filters().T, _TINY)
    values = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :N_MFCC]
    values *= 1 + (_LIFTER / 2) * np.sin(np.pi * np.arange(N_MFCC) / _LIFTER)
    values[:, 0] = np.log(energy)
    return np.asarray(values)


def _filters() -> NDArray[np.float64]:
    """Triangular filters (26, 257)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    bins = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    place = np.arange(_FFT // 2 + 1)
    low, middle, high = (bins[k : k + _FILTERS, None] for k in range(3))
    rising, falling = (place - low) / np.maximum(middle - low, 1), (high - place) / np.maximum(high - middle, 1)
    inside = np.where(place < middle, rising, falling)
    return np.where((place >= low) & (place < high), inside, 0.0)
