"""The clip store: writes and reads one HDF5 group per clip with landmarks, crop boxes and crops."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.landmarks.normalise import CROP_PX


@dataclass(frozen=True)
class StoredClip:
    """A clip of the store without its crops."""

    #: (T, 478, 2) float32, crop coordinates in [-1, 1].
    landmarks: NDArray[np.float32]
    #: (K,) frames with a detected face; all others are interpolated.
    valid_frames_idx: NDArray[np.int32]
    #: (T, 3) float32 ``x0 y0 size`` in source pixels.
    crop_boxes: NDArray[np.float32]
    #: Width and height of the source in pixels, frame rate, largest number of faces in a frame.
    width: int
    height: int
    fps: float
    n_faces_max: int
    #: (T, 468) uint8, 1 where a landmark was detected in this frame and is not occluded; None: visibility not given.
    lmk_visible: NDArray[np.uint8] | None = None
    #: (T,) uint8, 1 in known frames; None: visibility not given.
    known_frames: NDArray[np.uint8] | None = None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.landmarks)


def encode_crop(crop: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode a crop (224, 224, 3) RGB as a 4:4:4 JPEG (uint8 bytes)."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise ValueError(f"a crop of shape {crop.shape} cannot be encoded as JPEG")
    return np.asarray(data, dtype=np.uint8).ravel()


def write_clip(group: h5py.Group, clip: StoredClip, jpegs: list[NDArray[np.uint8]]) -> None:
    """Write a clip into an empty group.

    Datasets: ``landmarks``, ``valid_frames_idx``, ``crop_boxes``, ``crops`` (all JPEGs concatenated, uint8) and
    ``crop_offsets`` (T + 1,) int64. Crop t is ``crops[crop_offsets[t]:crop_offsets[t + 1]]``. ``lmk_visible`` and
    ``known_frames`` are written if the clip has them.
    """
    group["landmarks"] = clip.landmarks.astype(np.float32)
    group["valid_frames_idx"] = clip.valid_frames_idx.astype(np.int32)
    group["crop_boxes"] = clip.crop_boxes.astype(np.float32)
    group["crops"] = np.concatenate(jpegs)
    group["crop_offsets"] = np.concatenate([[0], np.cumsum([len(jpeg) for jpeg in jpegs])]).astype(np.int64)
    if clip.lmk_visible is not None and clip.known_frames is not None:
        visible = clip.lmk_visible.astype(np.uint8)
        group.create_dataset("lmk_visible", data=visible, compression="gzip", compression_opts=4)
        group["known_frames"] = clip.known_frames.astype(np.uint8)
    for name in ("width", "height", "fps", "n_faces_max"):
        group.attrs[name] = getattr(clip, name)
    group["landmarks"].attrs["unit"] = "crop coordinates, -1 to 1, x right, y down"
    group["crop_boxes"].attrs["unit"] = "source px: x0, y0, size"


def read_clip(group: h5py.Group) -> StoredClip:
    """Read a clip without its crops.

    Raises:
        AssetError: an entry is missing.
    """
    try:
        return StoredClip(
            landmarks=np.asarray(group["landmarks"], dtype=np.float32),
            valid_frames_idx=np.asarray(group["valid_frames_idx"], dtype=np.int32),
            crop_boxes=np.asarray(group["crop_boxes"], dtype=np.float32),
            width=int(group.attrs["width"]),
            height=int(group.attrs["height"]),
            fps=float(group.attrs["fps"]),
            n_faces_max=int(group.attrs["n_faces_max"]),
            lmk_visible=np.asarray(group["lmk_visible"], dtype=np.uint8) if "lmk_visible" in group else None,
            known_frames=np.asarray(group["known_frames"], dtype=np.uint8) if "known_frames" in group else None,
        )
    except KeyError as error:
        raise AssetError(
            f"{group.file.filename}: clip {group.name} is not complete ({error}); delete the file and rerun"
        ) from error


def read_crops(group: h5py.Group, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
    """Read the crops ``start`` to ``stop`` (default: all) of a clip: (T, 224, 224, 3) uint8 RGB.

    Raises:
        AssetError: a crop cannot be decoded.
    """
    offsets = np.asarray(group["crop_offsets"])
    first, last, _ = slice(start, stop).indices(len(offsets) - 1)
    data = np.asarray(group["crops"][offsets[first] : offsets[max(first, last)]])
    crops = np.empty((max(0, last - first), CROP_PX, CROP_PX, 3), np.uint8)
    for number, crop in enumerate(crops):
        begin, end = offsets[first + number : first + number + 2] - offsets[first]
        decoded = cv2.imdecode(data[begin:end], cv2.IMREAD_COLOR)
        if decoded is None:
            raise AssetError(
                f"{group.file.filename}: crop {first + number} of {group.name} is damaged; delete the file and rerun"
            )
        cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=crop)
    return crops
