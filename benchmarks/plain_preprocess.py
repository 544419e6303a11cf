"""A direct implementation of the published preprocessing, the reference of `preprocess.py`."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
from numpy.typing import NDArray
from skimage.transform import SimilarityTransform, warp

from occlufacediff.landmarks.detect import Detector
from occlufacediff.landmarks.normalise import crop_boxes, crop_matrix, to_crop
from occlufacediff.media.ffmpeg import ffmpeg_binary

WINDOW = 64


def decode_all(path: Path) -> list[NDArray[np.uint8]]:
    """All frames of a video at once, (H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def cubic_crop(frame: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.float64]:
    """The crop of ``box`` (x0, y0, size): (224, 224, 3) float64, 0 to 255, cubic, black outside the frame."""
    return warp(frame / 255, SimilarityTransform(crop_matrix(box)).inverse, output_shape=(224, 224), order=3) * 255


def archive_to_store(archive: Path, member: str, folder: Path, detector: Detector) -> int:
    """Unpack, convert to 25 fps, decode for landmarks, decode again for crops, write everything in float64.

    Returns:
        frames of the clip at 25 fps.
    """
    with tarfile.open(archive) as file:
        file.extract(member, folder, filter="data")
    video = folder / "25fps.mp4"
    convert = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-threads", "1", "-i", str(folder / member)]
    subprocess.run([*convert, "-filter:v", "fps=25", "-an", "-threads", "1", str(video)], check=True)
    frames = decode_all(video)
    landmarks = np.array([detector.detect(frame)[0] for frame in frames], dtype=np.float64)
    frames = decode_all(video)
    boxes = crop_boxes(landmarks)
    pictures = np.array([cubic_crop(frame, box) for frame, box in zip(frames, boxes, strict=True)])
    with h5py.File(folder / "store.h5", "w") as file:
        file["images"] = pictures
        file["landmarks"] = to_crop(landmarks, boxes)
    return len(frames)


def mask_look_up(landmarks: NDArray[np.floating], pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whether each of (T, L, 2) landmarks lies on a visible pixel of (T, 224, 224) masks, one by one: (T, L) uint8."""
    seen = np.zeros(landmarks.shape[:2], np.uint8)
    for frame in range(landmarks.shape[0]):
        for point in range(landmarks.shape[1]):
            x, y = (int(112 * value + 112) for value in landmarks[frame, point])
            if 0 <= x < 224 and 0 <= y < 224 and pictures[frame, y, x] > 0:
                seen[frame, point] = 1
    return seen


def training_item(folder: Path, clip: str, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """A random window of a clip; its files are opened and read completely."""
    item: dict[str, NDArray[Any]] = {}
    with h5py.File(folder / "coefficients.h5", "r") as file:
        for name in ("exp", "jaw", "global_pose", "cam", "shape"):
            item[name] = file[clip][name][()]
    with h5py.File(folder / "clips.h5", "r") as file:
        item["lmk_2d"] = file[clip]["landmarks"][:, :468]
    with h5py.File(folder / "audio.h5", "r") as file:
        wave = file[clip]["waveform"][()]
    wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    start = int(rng.integers(len(item["exp"]) - WINDOW + 1))
    for name in ("exp", "jaw", "global_pose", "cam", "lmk_2d"):
        item[name] = item[name][start : start + WINDOW].astype(np.float32)
    item["waveform"] = wave[start * 640 : (start + WINDOW) * 640]
    return item
