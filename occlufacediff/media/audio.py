"""Audio of any file as 16 kHz mono, its log-mel spectrogram, and its alignment with the video frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray
from soxr import ResampleStream

from occlufacediff.errors import ClipError
from occlufacediff.frame_blocks import blocks_of
from occlufacediff.media.ffmpeg import ffmpeg_blocks
from occlufacediff.media.probe import MediaInfo, probe
from occlufacediff.media.rates import MEL_BANDS, MEL_RATE, SAMPLE_RATE, SAMPLES_PER_FRAME

_HOP = SAMPLE_RATE // MEL_RATE
_WINDOW = 400
_FFT = 512
_MEL_FLOOR = 1e-8
#: Samples that are decoded, rows of the log-mel and pieces of 20 ms that are computed at once: bounds the memory.
_BLOCK, _MEL_ROWS, _LEVELS = 1 << 18, 4096, 4096
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
    raw = ffmpeg_blocks(
        stream.output("pipe:", f="f32le", acodec="pcm_f32le", ac=track.channels, ar=track.sample_rate, **limit),
        _BLOCK * track.channels * 4,
        reason="broken_audio",
        doing=f"decoding the audio of {path}",
    )
    # ffmpeg's downmix adds the channels, which makes stereo louder than mono.
    blocks = (np.frombuffer(block, dtype="<f4").reshape(-1, track.channels).mean(axis=1) for block in raw)
    first = next(blocks, None)
    if first is None:
        raise ClipError("broken_audio", f"{path}: no sample of its audio track can be decoded")
    native = _from_first_frame(chain([first], blocks), round(late * track.sample_rate))
    finite = (np.nan_to_num(block, posinf=0.0, neginf=0.0) for block in native)
    return np.concatenate(list(_resampled(finite, track.sample_rate)))


def _from_first_frame(blocks: Iterable[NDArray[np.float32]], late: int) -> Iterator[NDArray[np.float32]]:
    """Align audio that starts ``late`` samples after the first video frame with that frame."""
    if late > 0:
        yield np.zeros(late, np.float32)
    early = max(-late, 0)
    for block in blocks:
        yield block[early:]
        early = max(early - len(block), 0)


def _resampled(blocks: Iterable[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    """Resample blocks of samples at ``rate`` to 16 kHz; the whole has the duration of the input, rounded up."""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    stream = ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    read = written = 0
    for block in blocks:
        read += len(block)
        resampled = stream.resample_chunk(block)
        written += len(resampled)
        yield resampled
    wanted = -(-read * SAMPLE_RATE // rate)
    rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)[: wanted - written]
    yield np.pad(rest, (0, wanted - written - len(rest)))


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
    out = np.empty((rows, MEL_BANDS), np.float32)
    for block in blocks_of(rows, _MEL_ROWS):
        first, last = block.start * _HOP - _FFT // 2, (block.stop - 1) * _HOP + _FFT // 2
        samples = waveform[max(first, 0) : last]
        padded = np.pad(samples, (max(-first, 0), last - max(first, 0) - len(samples)))
        out[block] = _log_mel_of(padded)
    return out


def _log_mel_of(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """`log_mel` (R, 80) of samples from half an FFT before the first row to half an FFT after the last."""
    from librosa.feature import melspectrogram  # takes seconds to import; rejected videos do not need it

    # float64, because float32 products differ in the last digit between processes, which would change the file.
    power = melspectrogram(
        y=np.asarray(samples, dtype=np.float64),
        sr=SAMPLE_RATE,
        n_fft=_FFT,
        win_length=_WINDOW,
        hop_length=_HOP,
        center=False,
        power=2.0,
        n_mels=MEL_BANDS,
        fmin=50.0,
        fmax=7600.0,
    )
    scaled: NDArray[np.float64] = (np.log(power.T + _MEL_FLOOR) - _MEL_MEAN) / _MEL_STD
    return scaled


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
    starts, loudest = np.cumsum(sizes) - sizes, 0.0
    for block in blocks_of(count, _LEVELS):
        begin, end = starts[block.start], starts[block.stop - 1] + sizes[block.stop - 1]
        squares = np.asarray(waveform[begin:end], dtype=np.float64) ** 2
        power = np.add.reduceat(squares, starts[block] - begin)
        loudest = max(loudest, float((power / sizes[block]).max()))
    return max(-200.0, 10 * float(np.log10(loudest + 1e-30)))
