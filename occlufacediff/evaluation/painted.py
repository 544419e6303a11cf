"""Files of clips with painted occluders: what the detector and the search for occlusions see, and what is true.

Layout: ``<clip>`` with ``landmarks`` (T, 468, 2) of the detector under the occluder, coordinates of its own crops
``crop_boxes`` (T, 3); ``lmk_found`` (T, 468) 1 where the program takes a landmark for visible, ``lmk_certain`` (T, 468)
1 where it is certain of that; ``lmk_true`` (T, 468) 1 where no occluder covers it, and ``detected`` (T,) 1 where a face
was detected. ``object`` (H, W, 4) RGBA and ``path``
(T, 4) are the occluder in pixels of the crops without it; the attribute ``occluder`` is its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError, ClipError
from occlufacediff.occlusion.moving_picture import MovingPicture
from occlufacediff.occlusion.occlude import Occlusion, empty_boxes
from occlufacediff.visibility.margin import within_margin

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PaintedClip:
    """A clip of T frames with a painted occluder.

    Attributes:
        occluder: its kind, or ``picture`` for a picture of the user.
        moving: its picture and path, in pixels of the crops without it.
        lmk_2d: (T, 468, 2) landmarks of the detector under the occluder, coordinates of ``boxes``; interpolated in
            frames without a face.
        boxes: (T, 3) crop boxes of these landmarks, ``(x0, y0, size)`` in source pixels.
        found: (T, 468) True where the program takes a landmark for visible.
        certain: (T, 468) True where it is certain of that; False where ``found`` is.
        true: (T, 468) True where the landmark is visible: the occluder does not cover its place in the clear clip.
        detected: (T,) True in frames in which a face was detected.
    """

    occluder: str
    moving: MovingPicture
    lmk_2d: Float
    boxes: Float
    found: Bool
    certain: Bool
    true: Bool
    detected: Bool

    def write(self, group: h5py.Group) -> None:
        """Write the clip into an empty group."""
        group.attrs["occluder"] = self.occluder
        group["landmarks"] = self.lmk_2d.astype(np.float32)
        group["crop_boxes"] = self.boxes.astype(np.float32)
        group["detected"] = self.detected.astype(np.uint8)
        group["path"] = self.moving.path
        packed = {
            "lmk_found": self.found,
            "lmk_certain": self.certain,
            "lmk_true": self.true,
            "object": self.moving.picture,
        }
        for name, values in packed.items():
            group.create_dataset(name, data=values.astype(np.uint8), compression="gzip", compression_opts=4)

    def occlusion(self, kind: str) -> Occlusion:
        """The true occlusion: frames in which the occluder covers a landmark."""
        frames = ~self.true.all(axis=1)
        return Occlusion(kind, empty_boxes(len(frames)), frames, moving=self.moving)

    def visible(self, kind: str) -> Float:
        """Landmarks (T, 468) that count as visible for methods: found for the kind ``natural``, else the true ones.

        As in ``predict``, those beside hidden ones are left out, because the detector misplaces them. In a frame
        without a detected face, none is visible.
        """
        chosen = self.certain if kind == "natural" else self.true
        return (~within_margin(~(chosen & self.detected[:, None]), self.lmk_2d)).astype(np.float32)


class PaintedClips:
    """The painted clips of a subject.

    Args:
        path: file of painted clips.
        reasons: reason and message of the clips that could not be painted, by name.

    Raises:
        AssetError: the file cannot be read.
    """

    def __init__(self, path: Path, reasons: dict[str, tuple[str, str]]) -> None:
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise AssetError(f"{path}: cannot be read ({error}); paint the occluders again") from error
        self._reasons = reasons

    def __getitem__(self, name: str) -> PaintedClip:
        """A clip by its name ``<emotion>/<level>/<sentence>``.

        Raises:
            ClipError: it could not be painted.
            AssetError: the file does not have it.
        """
        if name in self._reasons:
            raise ClipError(*self._reasons[name])
        if name not in self._file:
            raise AssetError(f"{self._file.filename}: clip {name} is missing; paint the occluders again")
        group = self._file[name]
        return PaintedClip(
            occluder=str(group.attrs["occluder"]),
            moving=MovingPicture(group["object"][()], group["path"][()]),
            lmk_2d=group["landmarks"][()],
            boxes=group["crop_boxes"][()],
            found=group["lmk_found"][()] > 0,
            certain=group["lmk_certain"][()] > 0,
            true=group["lmk_true"][()] > 0,
            detected=group["detected"][()] > 0,
        )
