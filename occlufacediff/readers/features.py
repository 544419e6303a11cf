"""Input of the viseme and emotion readers: how far landmarks of the average head move from its neutral face.

Landmarks and not coefficients, because a fit finds landmarks well, but not always which of two similar actions moved
them. The person's identity, the head's rotation and the camera have no influence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.head.landmark_basis import LandmarkBasis

Float = NDArray[np.float32]

_CHIN = (152, 148, 377, 176, 400, 199, 175, 18, 200)
_CHEEKS = (50, 280, 101, 330, 205, 425, 116, 345, 187, 411)
_NOSE = (1, 2, 98, 327, 64, 294, 48, 278, 115, 344, 168, 6)
#: Mesh points of the viseme reader, and of the emotion reader.
MOUTH = face_mesh.LIPS + _CHIN
FACE = MOUTH + face_mesh.EYES_AND_BROWS + _NOSE + _CHEEKS


@dataclass(frozen=True, eq=False)
class MotionFeatures:
    """Computes the input of the readers for one head model.

    Attributes:
        basis: landmarks of the head model.
        mouth: rows of `MOUTH` among the landmarks; points that the head model lacks are left out.
        face: rows of `FACE`.
    """

    basis: LandmarkBasis
    mouth: NDArray[np.int64]
    face: NDArray[np.int64]

    @classmethod
    def of(cls, basis: LandmarkBasis) -> MotionFeatures:
        """Features for the head model of a basis."""
        return cls(basis, basis.rows_of(MOUTH), basis.rows_of(FACE))

    def __call__(self, motion: NDArray[np.floating]) -> Float:
        """Offsets (T, 3 P) in mm of the P points `face` from the neutral face, for a motion (T, E + 3)."""
        shape = np.zeros(self.basis.n_shape)
        values = np.asarray(motion, dtype=np.float64)
        still = np.zeros((1, values.shape[1]))
        moved, neutral = (self.basis.local(shape, one[:, :-3], one[:, -3:], self.face) for one in (values, still))
        return (1000.0 * (moved - neutral)).reshape(len(values), -1).astype(np.float32)

    @property
    def mouth_columns(self) -> NDArray[np.int64]:
        """Columns of the points `mouth` among the features."""
        place = {int(row): number for number, row in enumerate(self.face)}
        points = np.array([place[int(row)] for row in self.mouth], dtype=np.int64)
        return (3 * points[:, None] + np.arange(3)).ravel()
