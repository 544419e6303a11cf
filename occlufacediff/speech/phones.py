"""Phones heard in a waveform by PocketSphinx, whose English models come in its wheel."""

from __future__ import annotations

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

_FRAME = 0.01  # seconds between the recogniser's frames
#: The recogniser's frame k is a window of 25.6 ms from 10 k ms on; it stands for the 10 ms about its middle.
_LAG = 0.0078
#: Peak below which there is nothing to hear (-72 dB of full scale).
_SILENT_PEAK = 2.5e-4
_PEAK = 0.9
#: Longer sounds are heard in pieces of at most so many seconds, cut where it is quietest in a piece's second half.
_PIECE_S = 40.0
_LOUDNESS_S = 0.02
#: The recogniser's scores are logarithms divided by 2^10.
_SCORE_SCALE = 1024.0
_LANGUAGE_WEIGHT = 2.0
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
        scores: (K,) mean logarithm of a frame's acoustic likelihood, relative to the best state of any phone:
            about 0 is best, and 0 stands for silence that was not decoded.
    """

    names: tuple[str, ...]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    scores: Float


def recognise(waveform: NDArray[np.floating]) -> Phones:
    """Phones of a waveform (N,) at 16 kHz; the same sound gives the same phones, bit by bit.

    Each piece of sound (the whole of it up to 40 s) is heard by a fresh recogniser, its cepstra centred on its mean.

    Raises:
        ValueError: not one-dimensional, or not finite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform: got shape {waveform.shape}, needs (N,)")
    if not np.isfinite(waveform).all():
        raise ValueError("waveform: got values that are not finite, needs finite ones")
    found: list[tuple[str, float, float]] = []
    bounds = _pieces(waveform)
    for first, stop in pairwise(bounds):
        found += [(name, first / SAMPLE_RATE + start, score) for name, start, score in _heard(waveform[first:stop])]
    starts = np.array([start for _, start, _ in found], dtype=np.float64)
    ends = np.append(starts, len(waveform) / SAMPLE_RATE)[1:]
    return Phones(tuple(name for name, *_ in found), starts, ends, np.array([one[2] for one in found], np.float32))


def phone_features(phones: Phones, frames: int, fps: int = FPS) -> Float:
    """Share (T, 40) of each frame that each of `PHONES` covers; frame i reaches from ``(i - 0.5) / fps`` to
    ``(i + 0.5) / fps``. What lies outside the sound counts as silence, so that rows add up to 1.
    """
    edges = (np.arange(frames + 1) - 0.5) / fps
    low, high = edges[:-1, None], edges[1:, None]
    shared = np.clip(np.minimum(high, phones.ends) - np.maximum(low, phones.starts), 0.0, None) * fps  # (T, K)
    columns = np.array([_COLUMN[name] for name in phones.names], dtype=np.intp)
    features = shared @ np.eye(len(PHONES))[columns]
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


def _heard(piece: NDArray[np.floating]) -> list[tuple[str, float, float]]:
    """Phones of one piece: name, start in seconds of the piece, score."""
    if not len(piece):
        return []
    peak = float(np.abs(piece).max())
    silence = [(SILENCE, 0.0, 0.0)]
    if peak < _SILENT_PEAK:
        return silence
    samples = np.round(np.asarray(piece, dtype=np.float64) * (_PEAK / peak * 32767)).astype("<i2").tobytes()
    for beams in _BEAMS:
        segments = _decoded(samples, *beams)
        longest = max((one.end_frame - one.start_frame for one in segments if one.word in _SOUNDS), default=0)
        if longest * _FRAME <= _LONGEST_S:
            break
    if not segments:
        return silence
    return [
        (
            one.word if one.word in _COLUMN else SILENCE,
            one.start_frame * _FRAME + _LAG if number else 0.0,
            _SCORE_SCALE * float(np.log(one.ascore)) / (one.end_frame - one.start_frame + 1),
        )
        for number, one in enumerate(segments)
    ]


def _decoded(samples: bytes, beam: float, phone_beam: float) -> list[pocketsphinx.Segment]:
    """Segments of 16-bit samples, heard by a recogniser that has heard nothing before."""
    models = Path(pocketsphinx.get_model_path())
    decoder = pocketsphinx.Decoder(
        hmm=str(models / "en-us" / "en-us"),
        allphone=str(models / "en-us" / "en-us-phone.lm.bin"),
        lm=None,
        dict=None,
        loglevel="FATAL",
        lw=_LANGUAGE_WEIGHT,
        beam=beam,
        pbeam=phone_beam,
    )
    decoder.start_utt()
    decoder.process_raw(samples, no_search=False, full_utt=True)
    decoder.end_utt()
    return list(decoder.seg() or ())
