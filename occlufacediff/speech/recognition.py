"""Speech recognition with PocketSphinx and the English models of its wheel.

`recognise_phones` decodes phones with a phone language model. `recognise_words` decodes English words with a
dictionary and a word language model, then aligns their phones. The two make different errors, so their mean predicts
lip motion better than either. Words of another language are decoded as English words that sound similar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from occlufacediff.media.rates import SAMPLE_RATE
from occlufacediff.speech.phones import PHONES, SILENCE, Phones

_SPEECH_PHONES = frozenset(PHONES) - {SILENCE}

#: Seconds between frames of the recogniser.
FRAME_S = 0.01
#: Frame k of the recogniser is a window of 25.6 ms that starts at 10 k ms. It is assigned to the 10 ms at its centre.
FRAME_OFFSET_S = 0.0078
#: Waveforms with a lower peak are silence (-72 dB of full scale).
_SILENT_PEAK = 2.5e-4
#: Peak to which each piece is scaled.
PEAK = 0.9
#: Longer waveforms are cut into pieces of at most this length, at the quietest block in the second half of a piece.
_MAX_PIECE_S = 40.0
_CUT_BLOCK_S = 0.02
_PHONE_LANGUAGE_WEIGHT = 2.0
#: Beam widths of states and of phones. A search that loses all paths returns one very long phone: with beams of 1e-10
#: this happened in one of 20 recordings. The search is then repeated with wider beams.
_PHONE_BEAMS = ((1e-20, 1e-12), (1e-60, 1e-40))
_MAX_PHONE_S = 1.0
#: Beam widths of states and phones, of the last phones of words, and of word ends. With wider beams, the phones are
#: others, but the lips are no better (docs/results/speech.md).
_WORD_BEAM, _LAST_PHONE_BEAM, _WORD_END_BEAM = 1e-40, 1e-25, 1e-20

#: Decodes 16-bit samples to (name, start in seconds) of each segment.
Decode = Callable[[bytes], Sequence[tuple[str, float]]]


def recognise_phones(waveform: NDArray[np.floating]) -> Phones:
    """Recognise the phones of a waveform (N,) at 16 kHz. Equal waveforms give bit-identical phones.

    Pieces of at most 40 s are decoded independently, with cepstral mean normalisation over the piece.

    Raises:
        ValueError: the waveform is not one-dimensional or not finite.
    """
    return _recognise(waveform, _decode_phones)


def recognise_words(waveform: NDArray[np.floating]) -> Phones:
    """Recognise English words in a waveform (N,) at 16 kHz and return their phones, with silence between words.

    Equal waveforms give bit-identical phones.

    Raises:
        ValueError: the waveform is not one-dimensional or not finite.
    """
    return _recognise(waveform, _decode_words)


def _recognise(waveform: NDArray[np.floating], decode: Decode) -> Phones:
    """Decode a waveform (N,) piece by piece, each scaled to the same peak."""
    if waveform.ndim != 1:
        raise ValueError(f"waveform: got shape {waveform.shape}, needs (N,)")
    if not np.isfinite(waveform).all():
        raise ValueError("waveform: got values that are not finite, needs finite ones")
    segments: list[tuple[str, float]] = []
    for first, stop in pairwise(_piece_bounds(waveform)):
        piece = waveform[first:stop]
        peak = float(np.abs(piece).max(initial=0))
        decoded: Sequence[tuple[str, float]] = ()
        if peak >= _SILENT_PEAK:
            decoded = decode(
                np.round(np.asarray(piece, dtype=np.float64) * (PEAK / peak * 32767)).astype("<i2").tobytes()
            )
        # The first segment is extended to the start of the piece.
        starts = [0.0, *(start for _, start in decoded[1:])]
        names = [name for name, _ in decoded] or [SILENCE]
        if stop > first:
            segments += [(name, first / SAMPLE_RATE + start) for name, start in zip(names, starts, strict=True)]
    return Phones.from_starts(segments, len(waveform) / SAMPLE_RATE)


def _piece_bounds(waveform: NDArray[np.floating]) -> list[int]:
    """Sample indices at which the waveform is cut, including 0 and its length."""
    most, block = int(_MAX_PIECE_S * SAMPLE_RATE), int(_CUT_BLOCK_S * SAMPLE_RATE)
    bounds = [0]
    while len(waveform) - bounds[-1] > most:
        first = bounds[-1] + most // 2
        second_half = waveform[first : first + most // 2 // block * block].reshape(-1, block)
        quietest = int(np.argmin(np.abs(second_half).mean(axis=1)))
        bounds.append(first + quietest * block + block // 2)
    return [*bounds, len(waveform)]


def _decode_phones(samples: bytes) -> list[tuple[str, float]]:
    for beams in _PHONE_BEAMS:
        segments = _phone_segments(samples, beams)
        longest = max((one.end_frame - one.start_frame for one in segments if one.word in _SPEECH_PHONES), default=0)
        if longest * FRAME_S <= _MAX_PHONE_S:
            break
    return [(one.word, one.start_frame * FRAME_S + FRAME_OFFSET_S) for one in segments]


def phone_decoder(beams: tuple[float, float] = _PHONE_BEAMS[0], **options: str) -> pocketsphinx.Decoder:
    """A decoder of phones.

    Args:
        beams: beam widths of states and of phones.
        options: further options of PocketSphinx.
    """
    return pocketsphinx.Decoder(
        hmm=str(_model_file("en-us")),
        allphone=str(_model_file("en-us-phone.lm.bin")),
        lm=None,
        dict=None,
        loglevel="FATAL",
        lw=_PHONE_LANGUAGE_WEIGHT,
        beam=beams[0],
        pbeam=beams[1],
        **options,
    )


def _phone_segments(samples: bytes, beams: tuple[float, float]) -> list[pocketsphinx.Segment]:
    # A new decoder for each piece: its state would otherwise depend on earlier audio.
    decoder = phone_decoder(beams)
    return list(decoder.seg() or ()) if _run_decoder(decoder, samples) else []


@lru_cache(maxsize=1)
def word_decoder() -> pocketsphinx.Decoder:
    """The decoder of words, loaded once per process, which takes half a second."""
    return pocketsphinx.Decoder(
        hmm=str(_model_file("en-us")),
        lm=str(_model_file("en-us.lm.bin")),
        dict=str(_model_file("cmudict-en-us.dict")),
        loglevel="FATAL",
        beam=_WORD_BEAM,
        pbeam=_WORD_BEAM,
        lpbeam=_LAST_PHONE_BEAM,
        lponlybeam=_WORD_END_BEAM,
        wbeam=_WORD_END_BEAM,
    )


def _decode_words(samples: bytes) -> list[tuple[str, float]]:
    decoder = word_decoder()
    search = decoder.current_search()
    # Without this, the normalisation of the features would depend on earlier audio.
    decoder.reinit_feat()
    try:
        if not _run_decoder(decoder, samples) or decoder.hyp() is None:
            return []
        # A second pass aligns the phones of the words. If no path reaches the end, the words are discarded.
        decoder.set_alignment()
        words = decoder.get_alignment() if _run_decoder(decoder, samples) else None
        return [(phone.name, phone.start * FRAME_S + FRAME_OFFSET_S) for word in words or () for phone in word]
    finally:
        decoder.activate_search(search)


def _run_decoder(decoder: pocketsphinx.Decoder, samples: bytes) -> bool:
    """Decode 16-bit samples. Returns False if the search ends without a path, which PocketSphinx raises as an error."""
    decoder.start_utt()
    try:
        decoder.process_raw(samples, no_search=False, full_utt=True)
        decoder.end_utt()
    except RuntimeError:
        return False
    return True


def _model_file(name: str) -> Path:
    """Path of a file or folder of PocketSphinx's English models."""
    return Path(pocketsphinx.get_model_path()) / "en-us" / name
