"""Text to speech with timed phonemes: a binding to the espeak-ng library in the package ``espeakng_loader``."""

from __future__ import annotations

import ctypes
import threading
from _ctypes import dlclose
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from occlufacediff.errors import AssetError

_SYNCHRONOUS = 2  # the callback receives all samples before the call returns
_PHONEME_EVENTS = 0x0001
_DONT_EXIT = 0x8000
_UTF8 = 1
_EVENT_END_OF_LIST = 0
_EVENT_PHONEME = 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
#: Separates the phonemes of a word in the result of ``espeak_TextToPhonemes``.
_SEPARATOR = "|"

_lock = threading.Lock()


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event), use_errno=False
)


@dataclass(frozen=True)
class Utterance:
    """One utterance: ``samples`` (N,) float32 in [-1, 1] at ``rate`` Hz; phoneme k starts at ``starts[k]`` seconds."""

    samples: np.ndarray
    rate: int
    phonemes: tuple[str, ...]
    starts: np.ndarray


def speak(text: str, voice: str, *, words_per_minute: int, pitch: int, pitch_range: int, seed: int) -> Utterance:
    """Synthesise ``text``. Equal arguments give bit-identical samples.

    The library keeps state between utterances that its seed does not reset. It is therefore loaded again for each
    utterance, which takes 7 ms.

    Args:
        voice: an espeak-ng voice with an optional variant, such as ``en-us+f2``.
        words_per_minute: 80 to 450.
        pitch, pitch_range: 0 to 99, 50 is normal.
        seed: seed of the noise in fricatives and of the flutter of the voice.

    Raises:
        AssetError: the library cannot be loaded, or the voice does not exist.
    """
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path()).parent
    with _lock:
        try:
            library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        except OSError as error:
            raise AssetError(f"espeak-ng cannot be loaded: {error}; reinstall the package espeakng-loader") from error
        try:
            return _speak(library, data, text, voice, words_per_minute, pitch, pitch_range, seed)
        finally:
            dlclose(library._handle)


@lru_cache(maxsize=4096)
def phonemes_of(text: str, voice: str = "en-us") -> tuple[tuple[str, ...], ...]:
    """Phonemes of each word of ``text``. espeak-ng joins some short words, so there can be fewer words than there.

    Args:
        text: words and punctuation.
        voice: an espeak-ng voice.

    Raises:
        AssetError: the library cannot be loaded, or the voice does not exist.
    """
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path()).parent
    words: list[tuple[str, ...]] = []
    with _lock:
        try:
            library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        except OSError as error:
            raise AssetError(f"espeak-ng cannot be loaded: {error}; reinstall the package espeakng-loader") from error
        try:
            if library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _DONT_EXIT) <= 0:
                raise AssetError(f"espeak-ng found no data in {data}; reinstall the package espeakng-loader")
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise AssetError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices=en` lists the English voices")
            library.espeak_TextToPhonemes.restype = ctypes.c_char_p
            rest = ctypes.c_char_p(text.encode())
            while rest.value:
                # One clause per call, which moves `rest` to the next clause.
                clause = library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, ord(_SEPARATOR) << 8) or b""
                words += [tuple(filter(None, word.split(_SEPARATOR))) for word in clause.decode().split()]
        finally:
            library.espeak_Terminate()
            dlclose(library._handle)
    return tuple(word for word in words if word)


def _speak(
    library: ctypes.CDLL,
    data: Path,
    text: str,
    voice: str,
    words_per_minute: int,
    pitch: int,
    pitch_range: int,
    seed: int,
) -> Utterance:
    chunks: list[bytes] = []
    phonemes: list[str] = []
    starts: list[int] = []

    def receive(samples: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, count * 2))
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            if events[index].type == _EVENT_PHONEME:
                phonemes.append(events[index].id.string.decode())
                starts.append(events[index].sample)
            index += 1
        return 0

    callback = _Callback(receive)
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _PHONEME_EVENTS | _DONT_EXIT)
    if rate <= 0:
        raise AssetError(f"espeak-ng found no data in {data}; reinstall the package espeakng-loader")
    try:
        library.espeak_SetSynthCallback(callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise AssetError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices=en` lists the English voices")
        for parameter, value in ((_RATE, words_per_minute), (_VOLUME, 90), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    finally:
        library.espeak_Terminate()
    samples = np.frombuffer(b"".join(chunks), dtype=np.int16).astype(np.float32) / 32768.0
    return Utterance(samples, rate, tuple(phonemes), np.asarray(starts, dtype=np.float64) / rate)
