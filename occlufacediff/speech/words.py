"""Phones of the words that PocketSphinx hears: with a dictionary and a model of English sentences, from the same wheel.

It hears speech better than `phones.recognise`, which knows no words, and errs elsewhere: their mean tells more of lips
than either. Words of another language become English ones that sound a little like them.
"""

from __future__ import annotations

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from occlufacediff.speech.phones import FRAME_S, LAG_S, Phones, heard_in_pieces, listens, model_file

#: Narrower beams are twice as fast and lose most of what words are worth.
_BEAM = 1e-48


def recognise_words(waveform: NDArray[np.floating]) -> Phones:
    """Phones of the words in a waveform (N,) at 16 kHz, silence where none is heard; the same sound gives the same.

    Raises:
        ValueError: not one-dimensional, or not finite.
    """
    return heard_in_pieces(waveform, _heard)


def _heard(samples: bytes) -> list[tuple[str, float]]:
    decoder = pocketsphinx.Decoder(
        hmm=str(model_file("en-us")),
        lm=str(model_file("en-us.lm.bin")),
        dict=str(model_file("cmudict-en-us.dict")),
        loglevel="FATAL",
        beam=_BEAM,
        pbeam=_BEAM,
    )
    if not listens(decoder, samples) or decoder.hyp() is None:
        return []
    # A second pass places the phones of the words found; a word that no path of it reaches was none.
    decoder.set_alignment()
    words = decoder.get_alignment() if listens(decoder, samples) else None
    return [] if words is None else [(one.name, one.start * FRAME_S + LAG_S) for word in words for one in word]
