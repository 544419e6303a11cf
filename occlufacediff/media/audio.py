"""Audio of any file as 16 kHz mono, its log-mel spectrogram, and its alignment with the video frames."""

from __future__ import annotations

from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ClipError
from occlufacediff.media.ffmpeg import run_ffmpeg
from occlufacediff.media.probe import MediaInfo, probe
from occlufacediff.media.rates import MEL_BANDS, MEL_RATE, SAMPLE_RATE, SAMPLES_PER_FRAME

_HOP = SAMPLE_RATE // MEL_RATE
_WINDOW = 400
_FFT = 512
_MEL_FLOOR = 1e-8
#: Mean and standard deviation of ln(mel power + floor) over recorded speech; they normalise the features.
_MEL_MEAN = -9.0
_MEL_STD = 4.25


def read_waveform(
    path: Path | str, *, info: MediaInfo | None = None, max_seconds: float | None = None
) -> NDArray[np.float32]:
    """Decode the first audio track to 16 kHz mono.

    Sample 0 is at the first video frame if the file has video: the audio is cut or padded at its start by the
    difference of their start times. Channels are averaged. Gaps in the time stamps of more than 0.1 s become silence.
    Audio is never stretched.

    Args:
        path: any file with an audio track.
        info: result of `probe`, if known.
        max_seconds: decode at most this duration; None: all. Time stamps of a damaged file can claim hours.

    Returns:
        (N,) float32, full scale 1.

    Raises:
        ClipError: ``no_audio`` (no track), ``broken_audio`` (nothing decodes, or audio and video start more than
            ``max_seconds`` apart), ``no_video`` (no such file).
    """
    path = Path(path)
    try:
        info = info or probe(path)
    except ClipError as error:
        if error.reason == "broken_video":
            raise ClipError("broken_audio", str(error)) from error
        raise
    track = info.require_audio()
    late = 0.0 if info.video is None else track.start_s - info.video.start_s
    if max_seconds is not None and abs(late) > max_seconds:
        raise ClipError(
            "broken_audio",
            f"{path}: the audio starts {late:.1f} s after the video; the time stamps are damaged: encode the file "
            "again, or remove the audio",
        )
    limit = {} if max_seconds is None else {"t": max_seconds + max(0.0, -late)}
    stream = ffmpeg.input(str(path.absolute()))["a:0"].filter("aresample", **{"async": 1})
    raw = run_ffmpeg(
        stream.output("pipe:", f="f32le", acodec="pcm_f32le", ac=track.channels, ar=track.sample_rate, **limit),
        reason="broken_audio",
        doing=f"decoding the audio of {path}",
    )
    # ffmpeg's downmix adds the channels, which makes stereo louder than mono.
    native = np.frombuffer(raw, dtype="<f4").reshape(-1, track.channels).mean(axis=1)
    if native.size == 0:
        raise ClipError("broken_audio", f"{path}: no sample of its audio track can be decoded")
    native = np.nan_to_num(_from_first_frame(native, round(late * track.sample_rate)), posinf=0.0, neginf=0.0)
    if track.sample_rate == SAMPLE_RATE:
        return native.astype(np.float32)
    from librosa.core import resample  # takes 4 s to import; rejected videos do not need it

    resampled = resample(native, orig_sr=track.sample_rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    return np.ascontiguousarray(resampled, dtype=np.float32)


def _from_first_frame(native: NDArray[np.float32], late: int) -> NDArray[np.float32]:
    """Align audio that starts ``late`` samples after the first video frame with that frame."""
    return np.concatenate([np.zeros(late, np.float32), native]) if late > 0 else native[-late:]


def fit_to_frames(waveform: NDArray[np.float32], frames: int) -> tuple[NDArray[np.float32], int]:
    """Cut or zero-pad a waveform at its end to ``frames * 640`` samples.

    Returns:
        (frames * 640,) float32, and the samples added (positive) or cut (negative).
    """
    missing = frames * SAMPLES_PER_FRAME - len(waveform)
    if missing > 0:
        return np.concatenate([waveform, np.zeros(missing, np.float32)]).astype(np.float32), missing
    return waveform[: frames * SAMPLES_PER_FRAME].astype(np.float32), missing


def log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel spectrogram: 80 bands, 50 to 7600 Hz, windows of 25 ms centred 10 ms apart (4 a frame at 25 fps).

    ``(ln(mel_power + 1e-8) - mean) / std`` with fixed constants from recorded speech, which preserves loudness.

    Args:
        waveform: (N,) float32 at 16 kHz.

    Returns:
        (N // 160, 80) float32; row m is centred on sample 160 m.
    """
    rows = len(waveform) // _HOP
    if rows == 0:
        return np.zeros((0, MEL_BANDS), np.float32)
    from librosa.feature import melspectrogram

    # float64, because float32 products differ in the last digit between processes, which would change the file.
    power = melspectrogram(
        y=np.asarray(waveform, dtype=np.float64),
        sr=SAMPLE_RATE,
        n_fft=_FFT,
        win_length=_WINDOW,
        hop_length=_HOP,
        center=True,
        pad_mode="constant",
        power=2.0,
        n_mels=MEL_BANDS,
        fmin=50.0,
        fmax=7600.0,
    )
    scaled = (np.log(power.T[:rows] + _MEL_FLOOR) - _MEL_MEAN) / _MEL_STD
    return np.ascontiguousarray(scaled, dtype=np.float32)


def level_db(waveform: NDArray[np.float32]) -> float:
    """Level of the loudest 20 ms in dB relative to full scale, at least -200; below -60 the audio is inaudible."""
    size = SAMPLE_RATE // 50
    count = max(1, len(waveform) // size)
    if len(waveform) == 0:
        return -200.0
    # Parts of nearly equal size: the first ones have one more sample if 20 ms do not divide the duration.
    least, longer = divmod(len(waveform), count)
    sizes = np.full(count, least)
    sizes[:longer] += 1
    power = np.add.reduceat(np.asarray(waveform, dtype=np.float64) ** 2, np.cumsum(sizes) - sizes)
    loudest = float((power / sizes).max())
    return max(-200.0, 10 * float(np.log10(loudest + 1e-30)))
