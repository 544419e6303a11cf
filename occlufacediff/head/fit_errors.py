"""Errors of fitted landmarks, added up over the pieces of a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.landmark_basis import Array, LandmarkBasis

#: Half the side of the crop: pixels in one unit of crop coordinates.
PX = 112.0


class FitErrors:
    """Errors of fitted landmarks over the frames of a clip, which are added piece by piece."""

    def __init__(self, basis: LandmarkBasis) -> None:
        self._lips = basis.rows_of(LIPS)
        self._inner = [basis.place[point] for point in (INNER_LIP_TOP, INNER_LIP_BOTTOM)]
        self._sums, self._counts = np.zeros(2), np.zeros(2)
        self._gaps: list[Array] = []

    def add(self, fitted: Array, landmarks: Array, seen: NDArray[np.bool_]) -> None:
        """Add frames.

        Args:
            fitted, landmarks: (T, L, 2) crop coordinates.
            seen: (T, L) True where a landmark is visible.
        """
        distance = np.linalg.norm(np.where(seen[..., None], fitted - landmarks, 0), axis=-1) * PX
        self._sums += distance.sum(), distance[:, self._lips].sum()
        self._counts += seen.sum(), seen[:, self._lips].sum()
        upper, lower = self._inner
        if min(upper, lower) >= 0:
            frames = np.flatnonzero(seen[:, upper] & seen[:, lower])
            gaps = [np.linalg.norm(at[frames, upper] - at[frames, lower], axis=-1) for at in (fitted, landmarks)]
            self._gaps.append(np.stack(gaps))

    def result(self) -> tuple[float, float, float]:
        """Mean distance of all landmarks and of the lips, px of the crop, and the correlation of the lip opening.

        NaN where nothing is visible, or an opening is constant.
        """
        error, lips = (
            float(total / count) if count else float("nan")
            for total, count in zip(self._sums, self._counts, strict=True)
        )
        gaps = np.concatenate(self._gaps, axis=1) if self._gaps else np.empty((2, 0))
        known = gaps.shape[1] > 1 and gaps.std(axis=1).min() > 1e-9
        return error, lips, float(np.corrcoef(gaps)[0, 1]) if known else float("nan")
