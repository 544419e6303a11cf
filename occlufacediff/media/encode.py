"""Encoding of frames and audio to mp4 (H.264 4:2:0 and AAC); equal input gives equal bytes."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import TracebackType
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from occlufacediff.errors import ClipError
from occlufacediff.files import written_aside
from occlufacediff.media.ffmpeg import BITEXACT, QUIET, ffmpeg_binary, last_words, run_ffmpeg
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import SAMPLE_RATE


class VideoWriter:
    """Writes RGB frames and optional audio to an mp4 file, which appears when the block ends without an error.

    ``with VideoWriter(path, 25, (512, 512), audio=waveform) as writer: writer.write(frame)``

    Args:
        path: the mp4 file.
        fps: frames per second.
        size: (width, height) of the frames in pixels, both even (4:2:0).
        audio: None; (N,) float32 samples in [-1, 1] that start with frame 0; or a file whose audio is aligned with its
            first video frame. It is cut or padded with silence to the duration of the video.
        audio_rate: samples per second of ``audio``.
        crf, preset: quality (0 lossless .. 51) and speed of x264.

    Raises:
        ValueError: odd sizes, or a frame of a different size or type.
        ClipError: ``encoder``: ffmpeg failed; the message has its last output.
    """

    def __init__(
        self,
        path: Path | str,
        fps: float,
        size: tuple[int, int],
        *,
        audio: NDArray[np.float32] | Path | None = None,
        audio_rate: int = SAMPLE_RATE,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        if size[0] % 2 or size[1] % 2 or min(size) < 2:
            raise ValueError(f"size: got {size}, needs even width and height")
        self._path = Path(path)
        self._fps = fps
        self._size = size
        self._audio = audio
        self._audio_rate = audio_rate
        self._codec = {"vcodec": "libx264", "crf": crf, "preset": preset, "pix_fmt": "yuv420p", "threads": 1}
        self.frames = 0

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            self._target = stack.enter_context(written_aside(self._path))
            self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="encoding-")))
            self._errors = stack.enter_context(TemporaryFile())
            width, height = self._size
            video = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=self._fps).video
            output = video.output(
                str(self._target if self._audio is None else self._folder / "video.mp4"),
                **self._codec,
                **BITEXACT,
                **{"flags:v": "+bitexact", "f": "mp4"},
            )
            self._process = subprocess.Popen(
                output.global_args(*QUIET[1:]).overwrite_output().compile(cmd=ffmpeg_binary()),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
            self._stack = stack.pop_all()
        return self

    def _add_audio(self) -> None:
        """Join video and audio when the duration is known (the bytes of `-shortest` differ between runs)."""
        if self._audio is None:
            return
        if isinstance(self._audio, Path):
            audio = _audio_of(self._audio)
        else:
            wave = self._folder / "audio.wav"
            wavfile.write(wave, self._audio_rate, np.asarray(self._audio, dtype=np.float32))
            audio = ffmpeg.input(str(wave)).audio
        seconds = self.frames / self._fps
        audio = audio.filter("apad", whole_dur=seconds).filter("atrim", end=seconds)
        options = {"vcodec": "copy", "acodec": "aac", "audio_bitrate": "128k", "flags:a": "+bitexact", "f": "mp4"}
        output = ffmpeg.output(
            ffmpeg.input(str(self._folder / "video.mp4")).video, audio, str(self._target), **options, **BITEXACT
        )
        run_ffmpeg(output, reason="encoder", doing=f"adding the audio to {self._path}")

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame, (H, W, 3) uint8 RGB."""
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"frame: got {frame.shape} {frame.dtype}, needs {(height, width, 3)} uint8")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError as error:
            raise ClipError("encoder", self._failure()) from error
        self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An error in this block makes the stack remove the temporary file.
        with self._stack:
            if error is not None:
                self._process.kill()
            with suppress(BrokenPipeError):
                self._process.communicate()
            self._process.wait()
            if error is not None:
                raise error
            if self._process.returncode != 0 or self.frames == 0:
                raise ClipError("encoder", self._failure())
            self._add_audio()

    def _failure(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        words = last_words(self._errors.read()) if self.frames else "no frame was written"
        return f"encoding {self._path} failed: {words}"


def _audio_of(path: Path) -> Any:
    """The audio of a file as a stream of ffmpeg-python that starts with the first video frame."""
    info = probe(path)
    track = info.require_audio()
    audio = (
        ffmpeg.input(str(path.absolute()))["a:0"].filter("aresample", **{"async": 1}).filter("asetpts", "PTS-STARTPTS")
    )
    late = 0.0 if info.video is None else track.start_s - info.video.start_s
    if late > 0:
        return audio.filter("adelay", round(late * 1000), all=1)
    return audio.filter("atrim", start=-late).filter("asetpts", "PTS-STARTPTS") if late < 0 else audio


def write_audio(
    path: Path | str,
    waveform: NDArray[np.float32],
    rate: int,
    *,
    out_rate: int = 48000,
    channels: int = 2,
    bitrate: str = "128k",
) -> None:
    """Write a waveform as AAC to mp4 or m4a, by the suffix of ``path``.

    Args:
        waveform: (N,) float32 in [-1, 1] at ``rate`` samples per second.
        out_rate, channels, bitrate: of the file; MEAD has 48 kHz and 2 channels.

    Raises:
        ClipError: ``encoder``.
    """
    with written_aside(path) as aside, TemporaryDirectory(prefix="audio-") as folder:
        wave = Path(folder) / "audio.wav"
        # Copy to every channel: ffmpeg's conversion from mono to stereo makes it quieter.
        wavfile.write(wave, rate, np.repeat(np.asarray(waveform, dtype=np.float32)[:, None], channels, axis=1))
        options = {"acodec": "aac", "audio_bitrate": bitrate, "ar": out_rate, "f": "mp4"}
        output = ffmpeg.input(str(wave)).audio.output(str(aside), **options, **BITEXACT, **{"flags:a": "+bitexact"})
        run_ffmpeg(output, reason="encoder", doing=f"writing the audio {path}")
