"""Audio of a video: waveform, spectrogram, and whether it is speech."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.audio import fit_to_frames, level_db, log_mel, read_waveform
from occlufacediff.media.probe import MediaInfo
from occlufacediff.media.rates import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from occlufacediff.speech.voice_activity import detect_voice_activity

Float = NDArray[np.float32]

#: Differences of length between audio and video up to this are usual, seconds.
USUAL_DIFFERENCE_S = 0.2
#: Audio after the end of the video that is decoded, seconds: damaged time stamps may claim hours.
MAX_SURPLUS_S = 60.0


@dataclass(frozen=True, eq=False)
class Audio:
    """Audio of a video of T frames.

    Attributes:
        waveform: (640 T,) float32, 16 kHz mono; zeros without an audio track.
        has_track: whether the video has an audio track.
        audible: False without an audio track and for silence.
        notes: remarks for the user.
    """

    waveform: Float
    has_track: bool
    audible: bool
    notes: tuple[str, ...]

    @cached_property
    def log_mel(self) -> Float:
        """(4 T, 80) float32, computed at first use: words are recognised without it."""
        return log_mel(self.waveform)


def read_audio(info: MediaInfo, frames: int, *, silence_db: float) -> Audio:
    """Read the audio of a probed video and cut or zero-pad it to ``frames``; zeros if there is no audio track.

    Args:
        info: the probed video.
        frames: number of frames T.
        silence_db: level of the loudest 20 ms below which the audio is silence, dB relative to full scale.

    Raises:
        ClipError: ``broken_audio``: nothing decodes, or the audio begins more than a minute after the video's end.
    """
    if info.audio is None:
        zeros = np.zeros(frames * SAMPLES_PER_FRAME, dtype=np.float32)
        note = "the video has no audio track; occluded motion is predicted from the video alone"
        return Audio(zeros, has_track=False, audible=False, notes=(note,))
    notes = []
    if info.audio.tracks > 1:
        notes.append(f"the file has {info.audio.tracks} audio tracks; the first is used")
    longest = frames / FPS + MAX_SURPLUS_S
    waveform, added = fit_to_frames(read_waveform(info.path, info=info, max_seconds=longest), frames)
    if abs(added) > USUAL_DIFFERENCE_S * SAMPLE_RATE:
        kind = "shorter" if added > 0 else "longer"
        at_least = "at least " if -added / SAMPLE_RATE > MAX_SURPLUS_S - USUAL_DIFFERENCE_S else ""
        notes.append(f"the audio is {at_least}{abs(added) / SAMPLE_RATE:.2f} s {kind} than the video")
    audible = level_db(waveform) >= silence_db
    if not audible:
        notes.append("the audio is silent; occluded motion is predicted from the video alone")
    return Audio(waveform, has_track=True, audible=audible, notes=tuple(notes))


def is_speech(audio: Audio, *, silence_db: float) -> bool:
    """Whether audible audio is speech, not music, noise or hum."""
    return detect_voice_activity(audio.waveform, silence_db=silence_db).kind == "speech"
