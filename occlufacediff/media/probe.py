"""Properties of media files: tracks, sizes, rates, start times. Does not need ffprobe."""

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
    """A video track as displayed: size in pixels after rotation and with square pixels."""

    codec: str
    width: int
    height: int
    pixel_format: str
    #: Average frames per second; None if the container does not state it.
    fps: float | None
    #: Duration in seconds of the track, else of the whole file, whose audio can be longer.
    duration_s: float | None
    #: Duration in seconds that the track itself states.
    stated_s: float | None
    #: Time stamp of the first frame.
    start_s: float
    #: Counter-clockwise rotation of decoded frames for display: 0, 90, 180 or 270 degrees.
    rotation: int


@dataclass(frozen=True)
class AudioTrack:
    """An audio track."""

    codec: str
    sample_rate: int
    channels: int
    duration_s: float | None
    #: Time stamp of the first sample.
    start_s: float
    #: Number of audio tracks in the file; this is the first one.
    tracks: int = 1


@dataclass(frozen=True)
class MediaInfo:
    """The first video track and the first audio track of a file; None if there is none."""

    path: Path
    container: str
    video: VideoTrack | None
    audio: AudioTrack | None

    @property
    def video_fps(self) -> float:
        """Frames a second of the video track, on average; NaN if the file does not say it."""
        return float("nan") if self.video is None or not self.video.fps else float(self.video.fps)

    def require_video(self) -> VideoTrack:
        """The video track; raises ClipError ``no_video`` without one."""
        if self.video is None:
            raise ClipError("no_video", f"{self.path}: has no video track; give a video")
        return self.video

    def require_audio(self) -> AudioTrack:
        """The audio track; raises ClipError ``no_audio`` without one."""
        if self.audio is None:
            raise ClipError("no_audio", f"{self.path}: has no audio track; give a file with audio")
        return self.audio


@contextmanager
def opened(path: Path | str, reason: str = "broken_video") -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        ClipError: ``no_video`` if there is no such file; ``reason`` if it is empty, damaged, or not a media file.
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
        raise ClipError(reason, f"{path}: not a readable video or audio file ({_plain(error)})") from error
    with container:
        yield container


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first video track with a known codec that is not a cover image."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    return None


def first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    """The first frame that decodes; raises ClipError ``broken_video`` if none does."""
    for frame in decoded(container, stream):
        return frame
    raise ClipError("broken_video", f"{path}: no frame of its video track can be decoded")


def decoded(
    container: InputContainer, stream: VideoStream, damage: Callable[[], None] | None = None
) -> Iterator[VideoFrame]:
    """All frames that decode, in display order; damaged packets are skipped, as in ffmpeg; each calls ``damage``."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            # An incomplete file ends with an error of the container; earlier frames are usable.
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
    """Time stamp of a frame in seconds; without one, the track's start, else 0."""
    if frame.pts is not None and frame.time_base is not None:
        return Fraction(frame.pts) * frame.time_base
    return Fraction(stream.start_time or 0) * (stream.time_base or Fraction(0))


def probe(path: Path | str) -> MediaInfo:
    """Read the properties of a file; the first frame is decoded for its rotation and time stamp.

    Raises:
        ClipError: ``no_video`` (no file) or ``broken_video`` (empty, no media, no decodable frame).
    """
    path = Path(path)
    with opened(path) as container:
        stream = video_stream(container)
        video = None if stream is None else _video_track(container, stream, path)
        audio = None
        tracks = [track for track in container.streams.audio if track.codec_context is not None]
        if tracks:
            track = tracks[0]
            base = track.time_base or Fraction(0)
            audio = AudioTrack(
                codec=track.codec_context.name,
                sample_rate=track.codec_context.sample_rate,
                channels=track.codec_context.channels,
                duration_s=_seconds(track.duration, base, container),
                start_s=float((track.start_time or 0) * base),
                tracks=len(tracks),
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
        stated_s=float(stream.duration * base) if stream.duration else None,
        start_s=float(start_of(frame, stream)),
        rotation=rotation,
    )


def _seconds(duration: int | None, base: Fraction, container: InputContainer) -> float | None:
    if duration:
        return float(duration * base)
    return container.duration / av.time_base if container.duration else None


def _plain(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
