"""Where the pictures of a live session come from: a camera, a file played in real time, or a network stream."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.media.frames import shown_picture
from occlufacediff.media.probe import decoded, opened, start_of, video_stream
from occlufacediff.media.rates import FPS

Picture = NDArray[np.uint8]
#: Waits this many seconds; False if the session ends meanwhile.
Wait = Callable[[float], bool]

#: Schemes of network streams.
SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
#: Longest edge of the pictures, pixels. Larger ones are reduced: the detector needs no more, and it costs time.
LONGEST_PX = 1280
#: Seconds after which an address that does not answer counts as lost.
_ANSWER_S = 5.0


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
        picture: (H, W, 3) RGB.
        time: seconds of the monotonic clock: when a camera or stream delivered it, or when the frame of a file is due.
    """

    picture: Picture
    time: float


def pictures(source: SourceAddress, wait: Wait) -> Iterator[Timed]:
    """Pictures of a source until it ends or is lost.

    Args:
        source: where they come from.
        wait: see `Wait`; a file waits with it until the next frame is due.

    Raises:
        ClipError: ``no_video`` or ``broken_video``: the source cannot be opened, or holds no picture.
    """
    if source.kind == "camera":
        return _camera(source)
    if source.kind == "file":
        return _file(source, wait)
    return _stream(source, wait)


def ends(source: SourceAddress) -> bool:
    """Whether the end of the pictures is the end of the source, not a loss: true for files."""
    return source.kind == "file"


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


def _file(source: SourceAddress, wait: Wait) -> Iterator[Timed]:
    with opened(source.address) as container:
        yield from _paced(container, source, wait)


def _stream(source: SourceAddress, wait: Wait) -> Iterator[Timed]:
    options = {"fflags": "nobuffer", "rtsp_transport": "tcp"} if source.text.startswith("rtsp") else {}
    try:
        container: Any = av.open(source.address, timeout=_ANSWER_S, options=options, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ClipError(
            "no_video", f"SOURCE {source.text}: the stream cannot be opened ({reason}); check address and sender"
        ) from error
    with closing(container):
        if container.duration:
            yield from _paced(container, source, wait)
            return
        stream = _video(container, source)
        for frame in decoded(container, stream):
            yield Timed(_reduced(shown_picture(frame, stream)), time.monotonic())


def _paced(container: InputContainer, source: SourceAddress, wait: Wait) -> Iterator[Timed]:
    """Pictures at the times of their time stamps after the first one."""
    stream = _video(container, source)
    nominal = 1 / Fraction(stream.average_rate or stream.guessed_rate or FPS)
    first: Fraction | None = None
    last = Fraction(0)
    begun = 0.0
    for frame in decoded(container, stream):
        picture = _reduced(shown_picture(frame, stream))
        if first is None:
            first, begun, last = start_of(frame, stream), time.monotonic(), Fraction(0)
        elif frame.pts is None or frame.time_base is None:
            last += nominal
        else:
            last = max(Fraction(frame.pts) * frame.time_base - first, last)
        due = begun + float(last)
        if not wait(due - time.monotonic()):
            return
        yield Timed(picture, due)
    if first is None:
        raise ClipError("broken_video", f"SOURCE {source.text}: no frame of its video track can be decoded")
    wait(begun + float(last + nominal) - time.monotonic())


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
