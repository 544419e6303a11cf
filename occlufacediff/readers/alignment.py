"""Forced alignment: the times of a known sentence's phonemes in audio, with PocketSphinx's English acoustic model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import SAMPLE_RATE
from occlufacediff.readers.viseme_letters import CMU_PHONES, frame_letters, plain_phoneme

#: Seconds between frames of the recogniser, and the centre of the window of its frame 0.
_FRAME_S, _FRAME_OFFSET_S = 0.01, 0.0078
_PEAK = 0.9
#: Waveforms with a lower peak are silence (-72 dB of full scale).
_SILENT_PEAK = 2.5e-4
#: The searches' beams. A wide beam keeps the path of unclear speech; the words are known, so it is fast nevertheless.
_BEAM = 1e-100


@dataclass(frozen=True, eq=False)
class AlignedPhonemes:
    """K consecutive phonemes of espeak-ng without gaps; pauses are the phoneme ``_``.

    Attributes:
        phonemes: (K,) names.
        starts: (K,) seconds.
        end: end of the last phoneme in seconds.
    """

    phonemes: tuple[str, ...]
    starts: NDArray[np.float64]
    end: float

    def letters(self, frames: int) -> NDArray[np.int64]:
        """Number in `viseme_letters.LETTERS` of each frame (T,) at 25 fps."""
        return frame_letters(self.phonemes, self.starts, self.end, frames)


def align(waveform: NDArray[np.floating], words: Sequence[Sequence[str]]) -> AlignedPhonemes | None:
    """Find the times of a sentence's phonemes. Pauses between words are found too.

    Args:
        waveform: (N,) at 16 kHz.
        words: phonemes of each word, see `synthetic.espeak.phonemes_of`; unknown phonemes are left out.

    Returns:
        The phonemes with their times; None if the audio is silent, there are no words, or no path through the audio
        speaks them.

    Raises:
        ValueError: the waveform is not one-dimensional or not finite.
    """
    if waveform.ndim != 1 or not np.isfinite(waveform).all():
        raise ValueError(f"waveform: got shape {waveform.shape}, needs (N,) with finite values")
    plain = [[name for name in map(plain_phoneme, word) if name in CMU_PHONES] for word in words]
    spoken = [[name for name in word if name is not None] for word in plain if word]
    peak = float(np.abs(waveform).max(initial=0.0))
    if not spoken or peak < _SILENT_PEAK:
        return None
    samples = np.round(np.asarray(waveform, np.float64) * (_PEAK / peak * 32767)).astype("<i2").tobytes()
    return _aligned(samples, spoken, len(waveform) / SAMPLE_RATE)


def _aligned(samples: bytes, words: list[list[str]], seconds: float) -> AlignedPhonemes | None:
    import pocketsphinx

    model = Path(pocketsphinx.get_model_path()) / "en-us"
    names = [f"word{number}" for number in range(len(words))]
    with TemporaryDirectory() as folder:
        # A word that is added to a decoder without a dictionary crashes the search.
        dictionary = Path(folder) / "words.dict"
        lines = (
            " ".join((name, *(phone for phoneme in word for phone in CMU_PHONES[phoneme])))
            for name, word in zip(names, words, strict=True)
        )
        dictionary.write_text("\n".join((*lines, "")), encoding="ascii")
        decoder = pocketsphinx.Decoder(
            hmm=str(model / "en-us"),
            dict=str(dictionary),
            lm=None,
            loglevel="FATAL",
            bestpath=False,
            beam=_BEAM,
            wbeam=_BEAM,
            pbeam=_BEAM,
        )
    decoder.set_align_text(" ".join(names))
    if not _decoded(decoder, samples):
        return None
    # The first pass finds the words and pauses, the second one the phones of the words.
    try:
        decoder.set_alignment()
    except RuntimeError:
        # The words do not fit into the audio.
        return None
    found = decoder.get_alignment() if _decoded(decoder, samples) else None
    if found is None:
        return None
    phonemes: list[str] = []
    starts: list[float] = []
    for entry in found:
        word = dict(zip(names, words, strict=True)).get(entry.name)
        times = [phone.start * _FRAME_S + _FRAME_OFFSET_S for phone in entry]
        if word is None:
            phonemes.append("_")
            starts.append(times[0])
            continue
        place = 0
        for phoneme in word:
            phonemes.append(phoneme)
            starts.append(times[place])
            place += len(CMU_PHONES[phoneme])
    return AlignedPhonemes(tuple(phonemes), np.asarray(starts), seconds)


def _decoded(decoder: object, samples: bytes) -> bool:
    """Decode 16-bit samples. False if the search ends without a path, which PocketSphinx raises as an error."""
    decoder.start_utt()  # type: ignore[attr-defined]
    try:
        decoder.process_raw(samples, no_search=False, full_utt=True)  # type: ignore[attr-defined]
        decoder.end_utt()  # type: ignore[attr-defined]
    except RuntimeError:
        return False
    return True
