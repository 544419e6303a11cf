"""Mask files: order, sizes, frame counts, and their position on the crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from occlufacediff.errors import ConfigError
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.suffixes import VIDEO_SUFFIXES
from occlufacediff.occlusion.image_files import natural_key
from occlufacediff.occlusion.mask_files import MaskImages, MaskVideo, find_masks, open_masks


def write_mask(path: Path, size: tuple[int, int], box: tuple[int, int, int, int] | None = None) -> Path:
    array = np.zeros((size[1], size[0]), dtype=np.uint8)
    if box:
        array[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(array).save(path)
    return path


def test_images_are_sorted_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100, 2):
        write_mask(tmp_path / f"m{number}.png", (224, 224), (0, 0, number, 1))
    masks = MaskImages(tmp_path, (640, 480))
    assert [file.stem for file in masks.files] == ["m1", "m2", "m9", "m10", "m100"]
    assert [int(masks.occluded_pixels(t, np.array([0, 0, 100.0])).sum()) for t in range(5)] == [1, 2, 9, 10, 100]
    assert natural_key(Path("a")) < natural_key(Path("b2"))


def test_one_image_is_used_for_all_frames(tmp_path: Path) -> None:
    masks = MaskImages(write_mask(tmp_path / "one.png", (224, 224), (5, 6, 9, 9)), (320, 240))
    masks.check_frame_count(77)
    occluded = masks.occluded_pixels(50, np.array([10, 20, 30.0]))
    assert occluded.sum() == 12
    assert occluded[6:9, 5:9].all()


def test_a_mask_of_the_video_size_is_warped_to_the_crop(tmp_path: Path) -> None:
    masks = MaskImages(write_mask(tmp_path / "v.png", (320, 240), (100, 50, 151, 101)), (320, 240))
    occluded = masks.occluded_pixels(0, np.array([100.0, 50.0, 100.0]))
    assert occluded[:113, :113].all()
    assert not occluded[116:].any()
    assert not occluded[:, 116:].any()
    assert not masks.occluded_pixels(0, np.array([-500.0, -500.0, 100.0])).any()


@pytest.mark.parametrize("size", [(319, 240), (240, 320), (1, 1)])
def test_a_wrong_size_is_named_in_the_error(tmp_path: Path, size: tuple[int, int]) -> None:
    file = write_mask(tmp_path / "wrong.png", size)
    with pytest.raises(ConfigError, match=rf"wrong.png is {size[0]} x {size[1]} pixels, the video is 320 x 240"):
        MaskImages(file, (320, 240))


def test_a_wrong_number_is_named_in_the_error(tmp_path: Path) -> None:
    for number in range(3):
        write_mask(tmp_path / f"{number}.png", (224, 224))
    masks = MaskImages(tmp_path, (320, 240))
    masks.check_frame_count(3)
    with pytest.raises(ConfigError, match="has 3 images, the video has 75 frames"):
        masks.check_frame_count(75)


def test_files_that_are_not_images_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match=r"bad\.png is not a readable image"):
        MaskImages(tmp_path / "bad.png", (320, 240))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="has no image"):
        MaskImages(empty, (320, 240))
    with pytest.raises(ConfigError, match="no file or folder"):
        MaskImages(tmp_path / "missing", (320, 240))


def test_a_truncated_image_is_rejected(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (224, 224), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    masks = MaskImages(tmp_path / "cut.png", (320, 240))
    with pytest.raises(ConfigError, match=r"cut\.png is damaged"):
        masks.occluded_pixels(0, np.array([0, 0, 100.0]))


def mask_video(path: Path, fps: float, frames: int, size: tuple[int, int] = (320, 240)) -> Path:
    """Write a mask video whose white part grows by 16 columns every tenth of a second."""
    with VideoWriter(path, fps, size) as writer:
        for number in range(frames):
            frame = np.zeros((size[1], size[0], 3), np.uint8)
            frame[:, : 16 * int(10 * number / fps)] = 255
            writer.write(frame)
    return path


def test_a_mask_video_is_resampled_to_25_fps_and_can_be_read_backwards(tmp_path: Path) -> None:
    masks = open_masks(mask_video(tmp_path / "m.mp4", 50, 60), (320, 240))
    masks.check_frame_count(30)
    masks.check_frame_count(31)
    with pytest.raises(ConfigError, match="has 30 frames at 25 fps, the video has 32"):
        masks.check_frame_count(32)
    box = np.array([0.0, 0.0, 320.0])
    widths = [int(masks.occluded_pixels(frame, box)[100].sum()) for frame in (0, 5, 10, 29, 30, 4)]
    expected = [16 * tenth * 223 / 320 for tenth in (0, 2, 4, 11, 11, 1)]
    np.testing.assert_allclose(widths, expected, atol=3)


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_mask_videos_have_the_same_suffixes_as_clips(tmp_path: Path, suffix: str) -> None:
    masks = open_masks(mask_video(tmp_path / "m.mp4", 25, 3).rename(tmp_path / f"m{suffix.upper()}"), (320, 240))
    assert isinstance(masks, MaskVideo)
    (tmp_path / f"b{suffix}").touch()
    assert find_masks(tmp_path, "b") == [tmp_path / f"b{suffix}"]


def test_a_wrong_mask_video_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"m\.mp4 is 160 x 120 pixels, the video is 320 x 240"):
        open_masks(mask_video(tmp_path / "m.mp4", 25, 5, (160, 120)), (320, 240))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ConfigError, match=r"--mask: .*text\.mp4"):
        open_masks(tmp_path / "text.mp4", (320, 240))


def test_masks_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "S1/happy/level_1/002").mkdir(parents=True)
    one = write_mask(tmp_path / "S1/happy/level_1/001.png", (8, 8))
    write_mask(tmp_path / "S1/happy/level_1/0010.png", (8, 8))
    assert find_masks(tmp_path, "S1/happy/level_1/001") == [one]
    assert find_masks(tmp_path, "S1/happy/level_1/002") == [tmp_path / "S1/happy/level_1/002"]
    assert find_masks(tmp_path, "S1/happy/level_1/003") == []
