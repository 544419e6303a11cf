"""What a media file holds: tracks, sizes, rates, start times; no ffprobe needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from occlufacediff.errors import ClipError


@dataclass(frozen=True)
class VideoTrack:
    """A picture track as it is shown: size in pixels after rotation and with square pixels."""

    codec: str
    width: int
    height: int
    pixel_format: str
    #: Average frames a second, None when the container does not tell.
    fps: float | None
    #: Seconds the track lasts; where it does not tell, those of the whole file, whose sound may be longer.
    duration_s: float | None
    #: Seconds the track itself tells.
    told_s: float | None
    #: Time of the first frame in the container's clock.
    start_s: float
    #: Degrees by which decoded frames are turned counter-clockwise to be shown: 0, 90, 180 or 270.
    rotation: int


@dataclass(frozen=True)
class AudioTrack:
    """A sound track."""

    codec: str
    sample_rate: int
    channels: int
    duration_s: float | None
    #: Time of the first sample in the container's clock.
    start_s: float
    #: Sound tracks in the file, of which this is the first.
    tracks: int = 1


@dataclass(frozen=True)
class MediaInfo:
    """The first picture track and the first sound track of a file, each None where there is none."""

    path: Path
    container: str
    video: VideoTrack | None
    audio: AudioTrack | None

    def require_video(self) -> VideoTrack:
        """The picture track; ClipError ``no_video`` without one."""
        if self.video is None:
            raise ClipError("no_video", f"{self.path}: holds no video track; give a file with pictures")
        return self.video

    def require_audio(self) -> AudioTrack:
        """The sound track; ClipError ``no_audio`` without one."""
        if self.audio is None:
            raise ClipError("no_audio", f"{self.path}: holds no sound track; give a file with sound")
        return self.audio


@contextmanager
def opened(path: Path | str, reason: str = "broken_video") -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        ClipError: ``no_video`` when there is no such file; ``reason`` when it is empty, or no media, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise ClipError("no_video", f"{path}: is a folder; give a video")
    if not path.is_file():
        raise ClipError("no_video", f"{path}: no such file")
    if path.stat().st_size == 0:
        raise ClipError(reason, f"{path}: the file is empty")
    try:
        container = av.open(str(path.absolute()), mode="r", metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(reason, f"{path}: not a readable video or sound file ({_plain(error)})") from error
    with container:
        yield container


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first picture track that is not a cover picture and whose codec is known (a damaged file may not tell it)."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    return None


def first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    """The first frame that decodes; ClipError ``broken_video`` when none does."""
    for frame in decoded(container, stream):
        return frame
    raise ClipError("broken_video", f"{path}: no frame of its video track can be decoded")


def decoded(
    container: InputContainer, stream: VideoStream, damage: Callable[[], None] | None = None
) -> Iterator[VideoFrame]:
    """All frames that decode, in the order shown; damaged packets are passed over, as ffmpeg does, and told of."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            # A file cut off in the middle ends with an error of the container: what came before is usable.
            break
        try:
            yield from packet.decode()
        except av.FFmpegError:
            if damage is not None:
                damage()


def shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Width and height of a decoded frame before rotation, widened to square pixels."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if aspect <= 0 or aspect == 1:
        return frame.width, frame.height
    return max(1, round(frame.width * aspect)), frame.height


def start_of(frame: VideoFrame, stream: VideoStream) -> Fraction:
    """Time of a frame in seconds; the track's start, else 0, when the frame carries none."""
    if frame.pts is not None and frame.time_base is not None:
        return Fraction(frame.pts) * frame.time_base
    return Fraction(stream.start_time or 0) * (stream.time_base or Fraction(0))


def probe(path: Path | str) -> MediaInfo:
    """Read what a file holds; the first frame is decoded for rotation and true start.

    Raises:
        ClipError: ``no_video`` (no file) or ``broken_video`` (empty, no media, no decodable frame).
    """
    path = Path(path)
    with opened(path) as container:
        stream = video_stream(container)
        video = None if stream is None else _video_track(container, stream, path)
        audio = None
        sounds = [track for track in container.streams.audio if track.codec_context is not None]
        if sounds:
            sound = sounds[0]
            base = sound.time_base or Fraction(0)
            audio = AudioTrack(
                codec=sound.codec_context.name,
                sample_rate=sound.codec_context.sample_rate,
                channels=sound.codec_context.channels,
                duration_s=_seconds(sound.duration, base, container),
                start_s=float((sound.start_time or 0) * base),
                tracks=len(sounds),
            )
        return MediaInfo(path, container.format.name, video, audio)


def _video_track(container: InputContainer, stream: VideoStream, path: Path) -> VideoTrack:
    frame = first_frame(container, stream, path)
    width, height = shown_size(frame, stream)
    rotation = int(frame.rotation) % 360
    if rotation in (90, 270):
        width, height = height, width
    rate = stream.average_rate or stream.guessed_rate
    base = stream.time_base or Fraction(0)
    return VideoTrack(
        codec=stream.codec_context.name,
        width=width,
        height=height,
        pixel_format=frame.format.name,
        fps=float(rate) if rate else None,
        duration_s=_seconds(stream.duration, base, container),
        told_s=float(stream.duration * base) if stream.duration else None,
        start_s=float(start_of(frame, stream)),
        rotation=rotation,
    )


def _seconds(duration: int | None, base: Fraction, container: InputContainer) -> float | None:
    if duration:
        return float(duration * base)
    return container.duration / av.time_base if container.duration else None


def _plain(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
