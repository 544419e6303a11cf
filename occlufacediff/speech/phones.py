"""Phones heard in a waveform by PocketSphinx, whose English models come in its wheel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from occlufacediff.media.rates import FPS, SAMPLE_RATE
from occlufacediff.speech.columns import PHONES, SILENCE

Float = NDArray[np.float32]

_COLUMN = {name: column for column, name in enumerate(PHONES)}
_SOUNDS = frozenset(PHONES) - {SILENCE}

#: Seconds between the recogniser's frames.
FRAME_S = 0.01
#: The recogniser's frame k is a window of 25.6 ms from 10 k ms on; it stands for the 10 ms about its middle.
LAG_S = 0.0078
#: Peak below which there is nothing to hear (-72 dB of full scale).
_SILENT_PEAK = 2.5e-4
_PEAK = 0.9
#: Longer sounds are heard in pieces of at most so many seconds, cut where it is quietest in a piece's second half.
_PIECE_S = 40.0
_LOUDNESS_S = 0.02
_LANGUAGE_WEIGHT = 2.0
#: Rows of features that are made at once.
_BLOCK = 1000
#: Beams of states and of phones. A search that loses all paths ends in one phone that lasts and lasts (with beams of
#: 1e-10 it did in one of 20 recordings): then it is done again with the wider ones.
_BEAMS = ((1e-20, 1e-12), (1e-60, 1e-40))
_LONGEST_S = 1.0


@dataclass(frozen=True, eq=False)
class Phones:
    """K phones one after the other, without gaps, over the whole sound.

    Attributes:
        names: of `PHONES`; noises count as silence.
        starts, ends: (K,) seconds.
    """

    names: tuple[str, ...]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]

    @classmethod
    def one_after_the_other(cls, found: Sequence[tuple[str, float]], end: float) -> Phones:
        """Of names and starts, each lasting until the next, the last until ``end``; what is no phone is silence."""
        starts = np.array([start for _, start in found], dtype=np.float64)
        names = tuple(name if name in _COLUMN else SILENCE for name, _ in found)
        return cls(names, starts, np.append(starts, end)[1:])


def recognise(waveform: NDArray[np.floating]) -> Phones:
    """Phones of a waveform (N,) at 16 kHz; the same sound gives the same phones, bit by bit.

    Each piece of sound (the whole of it up to 40 s) is heard by a fresh recogniser, its cepstra centred on its mean.

    Raises:
        ValueError: not one-dimensional, or not finite.
    """
    return heard_in_pieces(waveform, _heard)


def heard_in_pieces(waveform: NDArray[np.floating], hear: Callable[[bytes], Sequence[tuple[str, float]]]) -> Phones:
    """Phones of a waveform (N,) at 16 kHz, which ``hear`` finds in pieces of at most 40 s, at a steady level.

    Args:
        hear: names and starts, in seconds, of what it hears in 16-bit samples.

    Raises:
        ValueError: not one-dimensional, or not finite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform: got shape {waveform.shape}, needs (N,)")
    if not np.isfinite(waveform).all():
        raise ValueError("waveform: got values that are not finite, needs finite ones")
    found: list[tuple[str, float]] = []
    for first, stop in pairwise(_pieces(waveform)):
        piece = waveform[first:stop]
        peak = float(np.abs(piece).max(initial=0))
        if peak >= _SILENT_PEAK:
            samples = np.round(np.asarray(piece, dtype=np.float64) * (_PEAK / peak * 32767)).astype("<i2").tobytes()
            heard = hear(samples)
        else:
            heard = ()
        # The first one stands for what comes before it, too.
        starts = [0.0, *(start for _, start in heard[1:])]
        names = [name for name, _ in heard] or [SILENCE]
        if stop > first:
            found += [(name, first / SAMPLE_RATE + start) for name, start in zip(names, starts, strict=True)]
    return Phones.one_after_the_other(found, len(waveform) / SAMPLE_RATE)


def phone_features(phones: Phones, frames: int, fps: int = FPS) -> Float:
    """Share (T, 40) of each frame that each of `PHONES` covers; frame i reaches from ``(i - 0.5) / fps`` to
    ``(i + 0.5) / fps``. What lies outside the sound counts as silence, so that rows add up to 1.
    """
    edges = (np.arange(frames + 1) - 0.5) / fps
    features = np.zeros((frames, len(PHONES)))
    columns = np.eye(len(PHONES))[np.array([_COLUMN[name] for name in phones.names], dtype=np.intp)]
    for first in range(0, frames, _BLOCK):
        low, high = edges[:-1][first : first + _BLOCK, None], edges[1:][first : first + _BLOCK, None]
        near = slice(*np.searchsorted(phones.ends, low[0]), *np.searchsorted(phones.starts, high[-1]))
        shared = np.minimum(high, phones.ends[near]) - np.maximum(low, phones.starts[near])  # (T, K)
        features[first : first + _BLOCK] = (np.clip(shared, 0.0, None) * fps) @ columns[near]
    features[:, _COLUMN[SILENCE]] += np.clip(1.0 - features.sum(axis=1), 0.0, 1.0)
    return features.astype(np.float32)


def _pieces(waveform: NDArray[np.floating]) -> list[int]:
    """Samples at which the sound is cut, from 0 to its end."""
    most, block = int(_PIECE_S * SAMPLE_RATE), int(_LOUDNESS_S * SAMPLE_RATE)
    bounds = [0]
    while len(waveform) - bounds[-1] > most:
        first = bounds[-1] + most // 2
        second_half = waveform[first : first + most // 2 // block * block].reshape(-1, block)
        quietest = int(np.argmin(np.abs(second_half).mean(axis=1)))
        bounds.append(first + quietest * block + block // 2)
    return [*bounds, len(waveform)]


def _heard(samples: bytes) -> list[tuple[str, float]]:
    """Name and start of each phone, and of silence between them, in 16-bit samples."""
    for beams in _BEAMS:
        segments = _decoded(samples, *beams)
        longest = max((one.end_frame - one.start_frame for one in segments if one.word in _SOUNDS), default=0)
        if longest * FRAME_S <= _LONGEST_S:
            break
    return [(one.word, one.start_frame * FRAME_S + LAG_S) for one in segments]


def _decoded(samples: bytes, beam: float, phone_beam: float) -> list[pocketsphinx.Segment]:
    """Segments of 16-bit samples, heard by a recogniser that has heard nothing before."""
    decoder = pocketsphinx.Decoder(
        hmm=str(model_file("en-us")),
        allphone=str(model_file("en-us-phone.lm.bin")),
        lm=None,
        dict=None,
        loglevel="FATAL",
        lw=_LANGUAGE_WEIGHT,
        beam=beam,
        pbeam=phone_beam,
    )
    return list(decoder.seg() or ()) if listens(decoder, samples) else []


def listens(decoder: pocketsphinx.Decoder, samples: bytes) -> bool:
    """Let a recogniser hear 16-bit samples; False where its search ends in no path, which it raises as an error."""
    decoder.start_utt()
    try:
        decoder.process_raw(samples, no_search=False, full_utt=True)
        decoder.end_utt()
    except RuntimeError:
        return False
    return True


def model_file(name: str) -> Path:
    """A file or folder of the English models that come in PocketSphinx's wheel."""
    return Path(pocketsphinx.get_model_path()) / "en-us" / name
