"""Error rates of a lip reader's text: words, characters, and visemes of espeak-ng's phonemes, computed by jiwer."""

from __future__ import annotations

import re

import jiwer

from occlufacediff.readers.viseme_letters import viseme_text
from occlufacediff.synthetic.espeak import phonemes_of

_OTHER = re.compile(r"[^A-Z0-9' ]+")


def normalised(text: str) -> str:
    """Upper-case words of letters, digits and apostrophes, with one space between words."""
    straight = text.upper().replace("\u2019", "'").replace("-", " ")
    return " ".join(_OTHER.sub("", straight).split())


def text_errors(transcript: str, read: str) -> dict[str, float]:
    """``wer``, ``cer``, ``vwer`` and ``ver`` of a text that was read, as shares of the transcript's length.

    ``vwer`` and ``ver`` compare words and characters of both texts spelled in viseme letters (`viseme_letters`), as
    SPECTRE does. Both texts are normalised first. A rate can exceed 1.

    Raises:
        ValueError: the transcript has no words.
    """
    said, heard = normalised(transcript), normalised(read)
    if not said:
        raise ValueError(f"transcript: got {transcript!r}, needs words")
    return {
        "wer": float(jiwer.wer(said, heard)),
        "cer": float(jiwer.cer(said, heard)),
        **viseme_errors(viseme_text(phonemes_of(said.lower())), viseme_text(phonemes_of(heard.lower()))),
    }


def viseme_errors(said: str, read: str) -> dict[str, float]:
    """``vwer`` and ``ver`` of texts of viseme letters.

    Raises:
        ValueError: ``said`` is empty.
    """
    if not said.strip():
        raise ValueError("transcript: got no visemes, needs at least one")
    return {"vwer": float(jiwer.wer(said, read)), "ver": float(jiwer.cer(said, read))}


def character_error(said: str, read: str) -> float:
    """Edit distance of two texts divided by the length of the first; it can exceed 1.

    Raises:
        ValueError: ``said`` is empty.
    """
    if not said:
        raise ValueError("reference: got no characters, needs at least one")
    return float(jiwer.cer(said, read))
