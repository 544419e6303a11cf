"""Step 4, speech, as far as it needs no network: audio, transcripts and features; in other processes if wanted.

This module does not import torch, so that a worker process starts fast.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ClipError
from occlufacediff.media.frames import count_at_25_fps
from occlufacediff.media.probe import MediaInfo
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
    waveform: Float, log_mel: Float, *, words: bool, phones: Phones | None = None
) -> tuple[tuple[Phones, ...], Float]:
    """Transcripts and features of audio.

    Args:
        waveform: (640 T,) at 16 kHz.
        log_mel: (4 T, 80).
        words: recognise words too.
        phones: phones that were recognised before; None recognises them.

    Returns:
        The phones, with ``words`` also the phones of the words; and features (4 T, 60).
    """
    phones = recognise_phones(waveform) if phones is None else phones
    transcripts = (phones, recognise_words(waveform)) if words else (phones,)
    return transcripts, speech_features(waveform, log_mel, phones)


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


def hear_words(info: MediaInfo, frames: int, listening: Listening) -> Phones:
    """The phones of words that `hear` gives as its second transcript; reads the audio itself.

    Raises:
        ClipError: see `read_audio`.
    """
    return recognise_words(_read(info, frames, listening)[2])


def _read(info: MediaInfo, frames: int, listening: Listening) -> tuple[Audio, bool, Float]:
    """Audio, whether it is used, and its waveform (640 T,), which is zero if it is not: the networks get silence."""
    audio = read_audio(info, frames, silence_db=listening.silence_db)
    used = audio.audible and not (listening.only_speech and not is_speech(audio, silence_db=listening.silence_db))
    return audio, used, audio.waveform if used else np.zeros_like(audio.waveform)


def hear_ahead(pool: ProcessPoolExecutor | None, info: MediaInfo, listening: Listening) -> Callable[[int], Heard]:
    """Start `hear` in other processes before the number of frames is known from the frames themselves.

    Words are recognised beside the phones. The packets' time stamps nearly always give the number of frames. If they do
    not, `hear` is repeated.

    Args:
        pool: the processes; None: nothing is done ahead.
        info: the probed video.
        listening: what is wanted.

    Returns:
        Function that waits for the result for a number of frames; it raises what `hear` raises.
    """
    if pool is None or info.audio is None:
        return partial(hear, info, listening=listening)
    try:
        expected = count_at_25_fps(info.path)
    except ClipError:
        # Decoding the video reports what is wrong with it.
        return partial(hear, info, listening=listening)
    # Words take longer than all else.
    words = pool.submit(hear_words, info, expected, listening) if listening.phones and listening.words else None
    heard = pool.submit(hear, info, expected, replace(listening, words=False))

    def result(frames: int) -> Heard:
        if frames != expected:
            return hear(info, frames, listening)
        without = heard.result()
        return without if words is None else replace(without, transcripts=(*without.transcripts, words.result()))

    return result


def load_libraries() -> None:
    """Load what `hear` uses, which takes seconds in a new process."""
    from librosa.core import resample
    from librosa.feature import melspectrogram

    melspectrogram(y=np.zeros(16000), sr=16000)
    resample(np.zeros(1600), orig_sr=48000, target_sr=16000, res_type="soxr_hq")
    word_decoder()
