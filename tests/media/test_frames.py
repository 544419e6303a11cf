"""Frames at 25 fps: the same as ffmpeg's filter, in step with time, for any container and pixel format."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from occlufacediff.errors import ClipError
from occlufacediff.media.convert import convert_video, count_frames
from occlufacediff.media.ffmpeg import ffmpeg_binary
from occlufacediff.media.frames import count_at_25_fps, read_frames
from occlufacediff.media.probe import probe


def run(*arguments: object) -> bytes:
    command = [ffmpeg_binary(), "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def pattern(path: Path, rate: str, *options: object, seconds: float = 1.3, size: str = "64x48") -> Path:
    run("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}", *options, path)
    return path


def by_ffmpeg(path: Path, width: int, height: int) -> np.ndarray:
    raw = run("-i", path, "-vf", "setpts=PTS-STARTPTS,fps=25", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize("rate", ["25", "30", "30000/1001", "24", "50", "60", "12", "1350/61", "10"])
def test_frames_equal_ffmpegs_filter(tmp_path: Path, rate: str) -> None:
    path = pattern(tmp_path / "a.mkv", rate, "-c:v", "ffv1", "-pix_fmt", "bgr0")
    ours, theirs = np.stack(list(read_frames(path))), by_ffmpeg(path, 64, 48)
    assert len(ours) == len(theirs) == count_at_25_fps(path)
    np.testing.assert_array_equal(ours, theirs)


def test_varying_rate_follows_the_time_stamps(tmp_path: Path) -> None:
    # Half of the frames are dropped from the second half on: their neighbours are shown longer.
    path = tmp_path / "vfr.mkv"
    run(
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=30:duration=2"),
        *("-vf", "select=lt(n\\,30)+not(mod(n\\,3))", "-fps_mode", "passthrough"),
        *("-c:v", "ffv1", "-pix_fmt", "bgr0", path),
    )
    ours = np.stack(list(read_frames(path)))
    assert abs(len(ours) - 50) <= 2
    np.testing.assert_array_equal(ours, by_ffmpeg(path, 64, 48)[: len(ours)])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", ("-pix_fmt", "yuvj444p", "-c:v", "libx264")),
        ("a.mov", ("-pix_fmt", "yuv420p10le", "-c:v", "libx264")),
        ("a.mpg", ("-c:v", "mpeg1video", "-r", "25")),
        ("a.avi", ("-c:v", "mjpeg", "-q:v", "2")),
        ("a.webm", ("-c:v", "libvpx", "-b:v", "2M")),
        ("a.gif", ()),
        ("a.nut", ("-c:v", "rawvideo", "-pix_fmt", "gray")),
    ],
)
def test_containers_and_pixel_formats(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    path = pattern(tmp_path / name, "25", *options, seconds=1.0, size="320x240")
    ours = np.stack(list(read_frames(path)))
    assert ours.shape == (25, 240, 320, 3)
    assert ours.dtype == np.uint8
    assert_alike(ours, by_ffmpeg(path, 320, 240))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    plain = pattern(tmp_path / "a.mp4", "25", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-qp", "4", seconds=0.5)
    turned = tmp_path / "turned.mp4"
    run("-display_rotation", degrees, "-i", plain, "-c", "copy", turned)
    width, height = (48, 64) if degrees != 180 else (64, 48)
    video = probe(turned).require_video()
    assert (video.width, video.height, video.rotation) == (width, height, degrees)
    ours = np.stack(list(read_frames(turned)))
    assert_alike(ours, by_ffmpeg(turned, width, height))


def test_pixels_become_square(tmp_path: Path) -> None:
    path = pattern(tmp_path / "a.mkv", "25", "-vf", "setsar=2", "-c:v", "ffv1", seconds=0.2)
    assert next(read_frames(path)).shape == (48, 128, 3)
    convert_video(path, tmp_path / "b.mp4", crf=20, preset="ultrafast")
    assert next(read_frames(tmp_path / "b.mp4")).shape == (48, 128, 3)


def test_frames_are_read_only(tmp_path: Path) -> None:
    frame = next(read_frames(pattern(tmp_path / "a.mkv", "25", "-c:v", "ffv1", seconds=0.2)))
    with pytest.raises(ValueError, match="read-only"):
        frame[0] = 0


@pytest.mark.parametrize("rate", ["30", "25", "1350/61"])
def test_conversion_gives_the_frames_that_reading_gives(tmp_path: Path, rate: str) -> None:
    path = pattern(tmp_path / "a.mkv", rate, "-c:v", "ffv1", "-vf", "scale=161:121", "-pix_fmt", "bgr0", size="160x120")
    info, count = convert_video(path, tmp_path / "b.mp4", crf=4, preset="superfast")
    assert (info.require_video().width, probe(tmp_path / "b.mp4").require_video().width) == (161, 160)
    source, converted = np.stack(list(read_frames(path))), np.stack(list(read_frames(tmp_path / "b.mp4")))
    assert len(source) == len(converted) == count == count_frames(tmp_path / "b.mp4")
    # Which frame is shown when must not change: no frame is more like another than like its own.
    distance = np.abs(source[:, None, :120, :160:8].astype(int) - converted[None, :, :, ::8]).mean(axis=(2, 3, 4))
    assert (distance.diagonal() <= distance.min(axis=1) + 0.2).all()


def test_conversion_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    path = pattern(tmp_path / "a.mkv", "30", "-c:v", "ffv1")
    for name in ("b.mp4", "c.mp4"):
        convert_video(path, tmp_path / name, crf=18, preset="superfast")
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()


def assert_alike(one: np.ndarray, other: np.ndarray) -> None:
    """Equal means of 8 x 8 blocks: scaling of chroma differs at edges, colours and places must not."""
    assert one.shape == other.shape
    count, height, width, _ = one.shape
    shape = (count, height // 8, 8, width // 8, 8, 3)
    assert np.abs(one.reshape(shape).mean(axis=(2, 4)) - other.reshape(shape).mean(axis=(2, 4))).mean() < 2.5


def hostile(folder: Path) -> dict[str, Path]:
    good = pattern(folder / "good.mp4", "25", "-c:v", "libx264", "-movflags", "+faststart", seconds=3)
    files = {name: folder / f"{name}.mp4" for name in ("empty", "text", "head", "cut", "missing", "noise")}
    files["empty"].write_bytes(b"")
    files["text"].write_text("this is not a video\n" * 50)
    files["noise"].write_bytes(np.random.default_rng(0).bytes(20000))
    data = good.read_bytes()
    files["head"].write_bytes(data[:600])
    files["cut"].write_bytes(data[: len(data) * 6 // 10])
    files["sound"] = folder / "sound.m4a"
    run("-f", "lavfi", "-i", "sine=duration=1", files["sound"])
    return files


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "broken_video"),
        ("text", "broken_video"),
        ("noise", "broken_video"),
        ("head", "broken_video"),
        ("cut", "broken_video"),
        ("missing", "no_video"),
        ("sound", "no_video"),
    ],
)
def test_bad_files_are_rejected_with_their_names(tmp_path: Path, name: str, reason: str) -> None:
    path = hostile(tmp_path)[name]
    with pytest.raises(ClipError, match=path.name) as reading:
        list(read_frames(path))
    with pytest.raises(ClipError, match=path.name) as converting:
        convert_video(path, tmp_path / "out.mp4", crf=20, preset="ultrafast")
    assert reading.value.reason == converting.value.reason == reason
    assert not (tmp_path / "out.mp4").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("shift", [("0", "3.8"), ("2", "3")])
def test_sound_that_outlasts_the_picture_does_not_make_a_file_cut_off(tmp_path: Path, shift: tuple[str, str]) -> None:
    # Matroska states the length of the whole file only, from 0 to the end of the longest track.
    late, sound = shift
    path = tmp_path / "talk.mkv"
    pattern(tmp_path / "picture.mkv", "25", "-c:v", "ffv1", seconds=3.0)
    tone = ("-f", "lavfi", "-i", f"sine=duration={sound}")
    run("-itsoffset", late, "-i", tmp_path / "picture.mkv", *tone, "-c:v", "copy", "-c:a", "flac", path)
    assert probe(path).require_video().stated_s is None
    assert len(list(read_frames(path))) == 75
    assert convert_video(path, tmp_path / "out.mp4", crf=20, preset="ultrafast")[1] == 75


def test_packets_that_cannot_be_decoded_are_told(tmp_path: Path) -> None:
    path = pattern(tmp_path / "whole.mkv", "25", "-c:v", "png", seconds=2, size="320x240")
    reports: list[None] = []
    assert len(list(read_frames(path, damage=lambda: reports.append(None)))) == 50 and not reports
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    (tmp_path / "hurt.mkv").write_bytes(data)
    assert len(list(read_frames(tmp_path / "hurt.mkv", damage=lambda: reports.append(None)))) == 50
    assert len(reports) == 1


def test_pictures_hours_apart_are_rejected(tmp_path: Path) -> None:
    path = pattern(tmp_path / "leap.mkv", "25", "-vf", "setpts=PTS+if(gte(N\\,20)\\,36000/TB\\,0)", "-c:v", "ffv1")
    with pytest.raises(ClipError, match=r"leap\.mkv: one frame lasts 360\d\d s by its time stamps") as rejected:
        list(read_frames(path))
    assert rejected.value.reason == "broken_video"


def test_a_cover_picture_is_not_a_video(tmp_path: Path) -> None:
    run("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", tmp_path / "cover.jpg")
    path = tmp_path / "song.m4a"
    run(
        *("-f", "lavfi", "-i", "sine=duration=1", "-i", tmp_path / "cover.jpg", "-map", "0", "-map", "1"),
        *("-c:v", "copy", "-disposition:v", "attached_pic", path),
    )
    assert probe(path).video is None
    assert probe(path).require_audio().sample_rate == 44100


def test_names_with_signs_of_protocols_and_options(tmp_path: Path) -> None:
    path = pattern(tmp_path / "plain.mkv", "25", "-c:v", "ffv1", seconds=0.2)
    odd = path.rename(tmp_path / "-a: 'b' %03d;$(x).mkv")
    assert convert_video(odd, tmp_path / "-o:1.mp4", crf=20, preset="ultrafast")[1] == 5


def test_real_clips_count_alike(shared: Path) -> None:
    for name in ("demo1.mp4", "film_30fps.mp4", "vfr_22fps.mp4", "grid_bbaf2n.mpg", "vox_00067.mp4"):
        path = shared / "real" / "clips" / name
        assert count_at_25_fps(path) == sum(1 for _ in read_frames(path))
