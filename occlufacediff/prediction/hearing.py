"""Step 4, speech, as far as it needs no network: audio, transcripts and features; in other processes if wanted.

This module does not import torch, so that a worker process starts fast.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ClipError
from occlufacediff.media.audio import log_mel
from occlufacediff.media.frames import count_at_25_fps
from occlufacediff.media.probe import MediaInfo
from occlufacediff.media.rates import SAMPLE_RATE
from occlufacediff.prediction.audio import Audio, is_speech, read_audio
from occlufacediff.speech.features import speech_features
from occlufacediff.speech.phones import Phones
from occlufacediff.speech.recognition import recognise_phones, recognise_words, word_decoder

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Listening:
    """What is recognised in the audio of a video.

    Attributes:
        silence_db: level of the loudest 20 ms below which audio is silence, dB relative to full scale.
        only_speech: do not use audio without speech.
        phones: recognise phones and compute features.
        words: recognise words too.
    """

    silence_db: float
    only_speech: bool
    phones: bool
    words: bool


@dataclass(frozen=True, eq=False)
class Heard:
    """Audio of a video of T frames, and what was recognised in it.

    Attributes:
        audio: the audio.
        used: whether the audio is used; else transcripts and features are those of silence.
        waveform: (640 T,) of the audio, or zeros.
        transcripts: phones by the phone recogniser and, if wanted, phones of words; empty without phones.
        features: (4 T, 60) of `speech_features`; None without phones.
    """

    audio: Audio
    used: bool
    waveform: Float
    transcripts: tuple[Phones, ...]
    features: Float | None


def transcribe(
    waveform: Float, mel: Float, *, words: bool, phones: Phones | None = None
) -> tuple[tuple[Phones, ...], Float]:
    """Transcripts and features of audio.

    Args:
        waveform: (640 T,) at 16 kHz.
        mel: (4 T, 80) log-mel.
        words: recognise words too.
        phones: phones that were recognised before; None recognises them.

    Returns:
        The phones, with ``words`` also the phones of the words; and features (4 T, 60).
    """
    phones = recognise_phones(waveform) if phones is None else phones
    transcripts = (phones, recognise_words(waveform)) if words else (phones,)
    return transcripts, speech_features(waveform, mel, phones)


def hear(info: MediaInfo, frames: int, listening: Listening) -> Heard:
    """Read the audio of a probed video and recognise what is wanted.

    Args:
        info: the probed video.
        frames: number of frames T.
        listening: what is wanted.

    Raises:
        ClipError: see `read_audio`.
    """
    audio, used, waveform = _read(info, frames, listening)
    if not listening.phones:
        return Heard(audio, used, waveform, (), None)
    return Heard(audio, used, waveform, *transcribe(waveform, audio.log_mel, words=listening.words))


def _read(info: MediaInfo, frames: int, listening: Listening) -> tuple[Audio, bool, Float]:
    """Audio, whether it is used, and its waveform (640 T,), which is zero if it is not: the networks get silence."""
    audio = read_audio(info, frames, silence_db=listening.silence_db)
    used = audio.audible and not (listening.only_speech and not is_speech(audio, silence_db=listening.silence_db))
    return audio, used, audio.waveform if used else np.zeros_like(audio.waveform)


def hear_words(info: MediaInfo, frames: int, listening: Listening) -> Phones:
    """Phones of the words in the audio of a probed video; see `hear`."""
    _, _, waveform = _read(info, frames, listening)
    return recognise_words(waveform)


class HearingAhead:
    """`hear` in other processes, begun before the number of frames is known from the frames themselves.

    The packets' time stamps nearly always give the number of frames. If they do not, `hear` is repeated. Words are
    recognised in a process of their own, which reads the audio again: this takes less time than to wait for it.

    Args:
        pool: the processes; None: nothing is done ahead.
        info: the probed video.
        listening: what can be wanted.
    """

    def __init__(self, pool: ProcessPoolExecutor | None, info: MediaInfo, listening: Listening) -> None:
        self._info, self._listening = info, listening
        self._pool = pool
        self._heard: Future[Heard] | None = None
        self._words: Future[Phones] | None = None
        if pool is not None:
            # If the packets give no number, decoding the video reports what is wrong with it.
            with suppress(ClipError):
                self._expected = count_at_25_fps(info.path)
                self._heard = pool.submit(hear, info, self._expected, replace(listening, words=False))

    def start_words(self) -> None:
        """Begin to recognise words, because they will probably be wanted."""
        if self._pool is not None and self._heard is not None and self._uses_words and self._words is None:
            self._words = self._pool.submit(hear_words, self._info, self._expected, self._listening)

    def result(self, frames: int, *, words: bool) -> Heard:
        """Wait for what `hear` gives for this number of frames.

        Args:
            frames: number of frames T.
            words: whether words are wanted, if they can be.

        Raises:
            ClipError: see `read_audio`.
        """
        words = words and self._uses_words
        if self._heard is None or frames != self._expected:
            return hear(self._info, frames, replace(self._listening, words=words))
        if words:
            self.start_words()
        heard = self._heard.result()
        if not words or self._words is None:
            return heard
        return replace(heard, transcripts=(*heard.transcripts, self._words.result()))

    @property
    def _uses_words(self) -> bool:
        return self._listening.phones and self._listening.words


def load_libraries() -> None:
    """Load what `hear` uses, which takes seconds in a new process."""
    log_mel(np.zeros(SAMPLE_RATE, np.float32))
    word_decoder()
