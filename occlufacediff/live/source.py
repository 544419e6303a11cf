"""Where the pictures of a live session come from: a camera, a file played in real time, or a network stream."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.media.frames import FrameTimes, shown_picture
from occlufacediff.media.probe import decoded, opened, start_of, video_stream
from occlufacediff.media.rates import SAMPLE_RATE

Picture = NDArray[np.uint8]
#: Waits this many seconds; False if the session ends meanwhile.
Wait = Callable[[float], bool]
#: Takes audio, (N,) at 16 kHz, and the moment of its first sample, seconds of the monotonic clock.
Hear = Callable[[NDArray[np.int16], float], None]

#: Schemes of network streams.
SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
#: Longest edge of the pictures, pixels. Larger ones are reduced: the detector needs no more, and it costs time.
LONGEST_PX = 1280
#: Seconds after which an address that does not answer counts as lost.
ANSWER_S = 5.0
#: Seconds behind real time from which a file's frames are left out, and from which its decoder leaves frames out.
_LATE_S, _VERY_LATE_S = 0.04, 0.3


@dataclass(frozen=True)
class SourceAddress:
    """A source as the user gave it.

    Attributes:
        kind: of the source.
        address: number or path of a camera, path of a file, or address of a stream.
        text: what the user gave, for messages.
    """

    kind: Literal["camera", "file", "stream"]
    address: str
    text: str


def parse_source(text: str) -> SourceAddress:
    """Which kind of source a text names.

    Args:
        text: ``camera:0``, ``camera:/dev/video0``, ``/dev/video0``, the path of a video, or the address of a stream.

    Raises:
        ConfigError: the scheme is unknown, or a camera has no number or path.
        ClipError: ``no_video``: there is no such file.
    """
    if re.match(r"/dev/(video|v4l/)", text):
        return SourceAddress("camera", text, text)
    scheme, colon, rest = text.partition(":")
    if scheme == "camera" and colon:
        if not re.fullmatch(r"\d+|/.+", rest):
            raise ConfigError(f"SOURCE {text}: needs the number or path of a camera, such as camera:0")
        return SourceAddress("camera", rest, text)
    if rest.startswith("//") and scheme.lower() in SCHEMES:
        return SourceAddress("stream", text, text)
    if Path(text).exists():
        return SourceAddress("file", text, text)
    # One letter before a colon is a drive of Windows.
    if colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme):
        raise ConfigError(
            f"SOURCE {text}: unknown scheme {scheme!r}; give camera:0, the path of a video, or the address of a "
            f"stream ({', '.join(SCHEMES)})"
        )
    raise ClipError("no_video", f"SOURCE {text}: there is no such file; give a video, camera:0, or a stream's address")


@dataclass(frozen=True)
class Timed:
    """A picture and when it was captured.

    Attributes:
        picture: (H, W, 3) RGB; None for a frame that is left out because decoding is late.
        time: seconds of the monotonic clock: when a camera or stream delivered it, or when the frame of a file is due.
    """

    picture: Picture | None
    time: float


def pictures(source: SourceAddress, wait: Wait, hear: Hear | None = None) -> Iterator[Timed | None]:
    """Pictures of a source until it ends or is lost; the last value is None if it has ended, as a file does.

    Args:
        source: where they come from.
        wait: see `Wait`; a file waits with it until the next frame is due.
        hear: gets the audio up to each picture, if the source has audio; cameras have none.

    Raises:
        ClipError: ``no_video`` or ``broken_video``: the source cannot be opened, or holds no picture.
    """
    if source.kind == "camera":
        return _camera(source)
    if source.kind == "file":
        return _file(source, wait, hear)
    return _stream(source, wait, hear)


def _camera(source: SourceAddress) -> Iterator[Timed]:
    import cv2

    cv2.setLogLevel(0)
    camera = cv2.VideoCapture(int(source.address) if source.address.isdigit() else source.address)
    try:
        if not camera.isOpened():
            raise ClipError(
                "no_video",
                f"SOURCE {source.text}: the camera cannot be opened; check that it is connected, that no other program "
                "uses it, and that you may read it",
            )
        # Without a queue in the driver the newest picture comes first.
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        while True:
            done, picture = camera.read()
            captured = time.monotonic()
            if not done:
                return
            yield Timed(_reduced(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)), captured)
    finally:
        camera.release()


def _file(source: SourceAddress, wait: Wait, hear: Hear | None) -> Iterator[Timed | None]:
    with opened(source.address) as container, opened(source.address) as again:
        yield from _paced(container, again, source, wait, hear)


def _stream(source: SourceAddress, wait: Wait, hear: Hear | None) -> Iterator[Timed | None]:
    with closing(_opened_stream(source)) as container:
        if container.duration:
            with closing(_opened_stream(source)) as again:
                yield from _paced(container, again, source, wait, hear)
            return
        yield from _as_delivered(container, source, hear)


def _opened_stream(source: SourceAddress) -> InputContainer:
    options = {"rtsp_transport": "tcp"} if source.text.startswith("rtsp") else {}
    try:
        container: Any = av.open(source.address, timeout=ANSWER_S, options=options, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, av.FFmpegError | OSError) and error.strerror else str(error)
        if isinstance(error, av.ExitError):
            reason = f"no answer within {ANSWER_S:g} s"
        raise ClipError(
            "no_video", f"SOURCE {source.text}: the stream cannot be opened ({reason}); check address and sender"
        ) from error
    return cast(InputContainer, container)


def _as_delivered(container: InputContainer, source: SourceAddress, hear: Hear | None) -> Iterator[Timed]:
    """Pictures of a stream when they come; the audio's time stamps are compared with those of the pictures."""
    stream = _video(container, source)
    tracks: list[Any] = [stream]
    if hear is not None:
        tracks += container.streams.audio[:1]
    pieces = AudioPieces()
    shift: float | None = None
    packets = container.demux(*tracks)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except (StopIteration, av.EOFError, av.ExitError, TimeoutError, OSError):
            return
        except av.FFmpegError:
            continue  # a damaged packet; the next ones are usable
        for frame in frames:
            if isinstance(frame, VideoFrame):
                captured = time.monotonic()
                shift = captured - float(start_of(frame, stream))
                yield Timed(shown_picture(frame, stream, LONGEST_PX), captured)
            elif isinstance(frame, AudioFrame) and hear is not None and shift is not None:
                for samples, begin in pieces.add(frame):
                    hear(samples, begin + shift)


def _paced(
    container: InputContainer, again: InputContainer, source: SourceAddress, wait: Wait, hear: Hear | None
) -> Iterator[Timed | None]:
    """Pictures at the times of their time stamps after the first one, and the audio up to each; ``again`` reads it."""
    stream = _video(container, source)
    audio = _audio(again) if hear is not None else iter(())
    held: tuple[NDArray[np.int16], float] | None = None
    times, begun = FrameTimes(stream), 0.0
    for frame in decoded(container, stream):
        if times.origin is None:
            begun = time.monotonic()
        due = begun + float(times.add(frame))
        late = time.monotonic() - due
        # Pictures that nobody waits for are not converted; if that is not enough, the decoder leaves frames out.
        picture = shown_picture(frame, stream, LONGEST_PX) if late < _LATE_S else None
        stream.codec_context.skip_frame = "NONREF" if late > _VERY_LATE_S else "DEFAULT"
        if not wait(due - time.monotonic()):
            return
        while hear is not None and (held := held or next(audio, None)) is not None:
            begin = begun + held[1] - float(times.origin or 0)
            if begin + len(held[0]) / SAMPLE_RATE > due:
                break
            hear(held[0], begin)
            held = None
        yield Timed(picture, due)
    if times.origin is None:
        raise ClipError("broken_video", f"SOURCE {source.text}: no frame of its video track can be decoded")
    wait(begun + float(times.end) - time.monotonic())
    yield None


class AudioPieces:
    """Converts decoded audio to mono at 16 kHz."""

    def __init__(self) -> None:
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def add(self, frame: AudioFrame) -> Iterator[tuple[NDArray[np.int16], float]]:
        """Pieces (N,) and the time stamp of each in seconds, as far as the frame completes them."""
        for piece in self._resampler.resample(frame):
            if piece.pts is not None and piece.time_base is not None:
                yield np.asarray(piece.to_ndarray(), np.int16).ravel(), float(piece.pts * piece.time_base)


def _audio(container: InputContainer) -> Iterator[tuple[NDArray[np.int16], float]]:
    """The first audio track in pieces, with their time stamps in seconds; nothing without such a track."""
    if not container.streams.audio:
        return
    pieces = AudioPieces()
    packets = container.demux(container.streams.audio[0])
    while True:
        try:
            frames = next(packets).decode()
        except (StopIteration, av.FFmpegError):
            return
        for frame in frames:
            yield from pieces.add(frame)


def _video(container: InputContainer, source: SourceAddress) -> VideoStream:
    stream = video_stream(container)
    if stream is None:
        raise ClipError("no_video", f"SOURCE {source.text}: has no video track; give a video")
    stream.codec_context.thread_type = "AUTO"
    return stream


def _reduced(picture: Picture) -> Picture:
    """The picture, reduced to `LONGEST_PX` if it is larger."""
    scale = LONGEST_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    import cv2

    height, width = (max(1, round(edge * scale)) for edge in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
