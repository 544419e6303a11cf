"""Frames of any video as RGB arrays at 25 fps, aligned with the audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from occlufacediff.errors import ClipError
from occlufacediff.media.probe import decoded, opened, shown_size, start_of, video_stream
from occlufacediff.media.rates import FPS

#: A file is incomplete if less than this fraction of its stated duration decodes.
COMPLETE = 0.9
#: Longest plausible duration of one frame, in seconds; longer ones are damaged time stamps.
LONGEST_STILL_S = 600


def read_frames(
    path: Path | str, *, threads: int = 0, damage: Callable[[], None] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video, resampled to 25 fps by their time stamps.

    Output frame n is the last source frame whose time, counted from the first frame and rounded to the nearest
    1/25 s, is at most n/25 s, as in ffmpeg's ``fps`` filter. The container's rotation is applied, pixels are made
    square, and any pixel format is converted to RGB. One frame is in memory at a time.

    Args:
        path: any file with a video track.
        threads: decoder threads; 0: one per core.
        damage: called for each packet that cannot be decoded; dependent frames can have artifacts.

    Yields:
        (H, W, 3) uint8 RGB, read-only: a repeated frame is the same array.

    Raises:
        ClipError: ``no_video``, or ``broken_video`` if nothing decodes, the file is incomplete or its time stamps jump.
    """
    path = Path(path)
    with opened(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise ClipError("no_video", f"{path}: has no video track; give a video")
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO" if threads != 1 else "SLICE"
        times = FrameTimes(stream)
        held: VideoFrame | None = None
        written = 0
        for frame in decoded(container, stream, damage):
            start = _nearest(times.add(frame) * FPS)
            if held is not None and start > written:
                _reject_jump(path, start - written)
                picture = shown_picture(held, stream)
                for _ in range(start - written):
                    yield picture
                written = start
            held = frame
        if held is None:
            raise ClipError("broken_video", f"{path}: no frame of its video track can be decoded")
        end = max(_nearest(times.end * FPS), 1)
        if end > written:
            _reject_jump(path, end - written)
            picture = shown_picture(held, stream)
            for _ in range(end - written):
                yield picture
        stated = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        check_complete(path, end / FPS, None if stated is None else float(stated))


def count_at_25_fps(path: Path | str) -> int:
    """Number of frames that `read_frames` yields, from the packets' time stamps without decoding.

    Raises:
        ClipError: ``no_video``, ``broken_video`` if the track has no packet.
    """
    path = Path(path)
    with opened(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise ClipError("no_video", f"{path}: has no video track; give a video")
        spans: list[tuple[int, int]] = []
        packets = container.demux(stream)
        # An incomplete file ends with an error of the container.
        with suppress(av.FFmpegError):
            spans.extend((p.pts, p.duration or 0) for p in packets if p.size and p.pts is not None and not p.is_discard)
        if not spans or stream.time_base is None:
            raise ClipError("broken_video", f"{path}: its video track holds no frame")
        first, (last, length) = min(spans)[0], max(spans)
        end = (last - first) * stream.time_base + (length * stream.time_base or _nominal(stream))
        return max(1, _nearest(end * FPS))


def check_complete(path: Path, decoded_s: float, stated_s: float | None) -> None:
    """Raise ClipError ``broken_video`` if much less than the stated duration decodes."""
    if stated_s is not None and decoded_s + 2 / FPS < COMPLETE * stated_s:
        raise ClipError(
            "broken_video",
            f"{path}: {decoded_s:.2f} s of its {stated_s:.2f} s can be decoded; the file is damaged or was cut off",
        )


def _reject_jump(path: Path, frames: int) -> None:
    if frames > LONGEST_STILL_S * FPS:
        raise ClipError(
            "broken_video",
            f"{path}: one frame lasts {frames / FPS:.0f} s by its time stamps, more than {LONGEST_STILL_S} s; "
            "they may be damaged: encode the video again, or cut it",
        )


class FrameTimes:
    """Times of the frames of a stream in seconds, relative to the first frame; they never decrease."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._nominal = _nominal(stream)
        self.origin: Fraction | None = None
        self._last = Fraction(0)
        self._length = self._nominal

    def add(self, frame: VideoFrame) -> Fraction:
        """Time of the next frame; a frame without a time stamp follows at the nominal rate."""
        if self.origin is None:
            self.origin = start_of(frame, self._stream)
        elif frame.pts is None or frame.time_base is None:
            self._last += self._nominal
        else:
            self._last = max(Fraction(frame.pts) * frame.time_base - self.origin, self._last)
        self._length = frame.duration * frame.time_base if frame.duration and frame.time_base else self._nominal
        return self._last

    @property
    def end(self) -> Fraction:
        """End of the last frame."""
        return self._last + self._length


def _nominal(stream: VideoStream) -> Fraction:
    """Nominal duration of a frame, in seconds."""
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or FPS)


def _nearest(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def shown_picture(frame: VideoFrame, stream: VideoStream, longest: int | None = None) -> NDArray[np.uint8]:
    """A decoded frame as displayed: (H, W, 3) RGB, read-only, rotated, with square pixels.

    Args:
        frame: the decoded frame.
        stream: its track.
        longest: a picture whose longest edge has more pixels is reduced to this edge; None: no limit.
    """
    width, height = shown_size(frame, stream)
    if longest is not None and max(width, height) > longest:
        scale = longest / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    # One thread: each frame would start its own threads, which takes ten times as long as the conversion.
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)
    turned = np.rot90(pixels, round(frame.rotation / 90) % 4)
    picture: NDArray[np.uint8] = np.ascontiguousarray(turned, dtype=np.uint8)
    picture.flags.writeable = False
    return picture
