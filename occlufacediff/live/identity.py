"""Learns the identity from the first seconds in which the whole face is seen, beside the session."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.head.fit import fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.normalise import to_crop

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Frames that are kept, and seconds between two of them.
KEPT, APART_S = 32, 0.3
#: Numbers of kept frames at which the identity is computed again: after about 1, 4 and 10 seconds.
LEARN_AT = (4, 14, KEPT)
#: Smallest share of visible landmarks of a kept frame.
_SEEN = 0.6


class IdentityLearner:
    """Collects frames and fits the identity to them in a thread.

    Args:
        basis: the head model at its landmarks.
        settings: of the fit.
    """

    def __init__(self, basis: LandmarkBasis, settings: ReconstructionSettings) -> None:
        self._basis, self._settings = basis, settings
        self._points: list[Float] = []
        self._visible: list[Mask] = []
        self._boxes: list[Float] = []
        self._waited_s = APART_S
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="identity")
        self._learnt: Future[Float] | None = None

    def add(self, landmarks: Float, visible: Mask, box: Float, seconds: float) -> None:
        """Offer a frame; arguments as in `CausalFit.step`."""
        self._waited_s += seconds
        if len(self._points) >= KEPT or self._waited_s < APART_S or visible.mean() < _SEEN:
            return
        self._waited_s = 0.0
        self._points.append(to_crop(landmarks[:MESH_POINTS], box).astype(np.float32))
        self._visible.append(visible.copy())
        self._boxes.append(np.asarray(box, np.float32))
        if len(self._points) in LEARN_AT:
            # The thread gets copies, because the lists grow.
            frames = (np.stack(self._points), np.stack(self._visible), np.stack(self._boxes))
            self._learnt = self._thread.submit(self._learn, *frames)

    def take(self) -> Float | None:
        """A new identity (S,), once; None if there is none since the last call. Raises what the fit raised."""
        if self._learnt is None or not self._learnt.done():
            return None
        learnt, self._learnt = self._learnt, None
        return learnt.result()

    def wait(self) -> None:
        """Wait for the result of the frames so far."""
        if self._learnt is not None:
            wait([self._learnt])

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _learn(self, points: Float, visible: Mask, boxes: Float) -> Float:
        return fit_clip(self._basis, points, settings=self._settings, boxes=boxes, visible=visible).shape
