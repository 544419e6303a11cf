"""Which landmarks are hidden now, from past frames only; a thread looks at some frames with the occlusion network.

The same evidence as in `visibility.joining`, with what a live session knows: no later frames. A landmark becomes hidden
if two of the last three looks agree, or at once if one look is sure. It becomes visible again if two of three agree.
"""

from __future__ import annotations

from collections import deque
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.live.source import Picture
from occlufacediff.live.worker_thread import WorkerThread
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.visibility.joining import ENTER, LEAVE, MEDIAN_LOOKS, calibrated, large_groups, smoothed

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Probability below which one look hides a landmark.
SURE = 0.3
#: Looks that calibration remembers, and which of them: every n-th.
_MEMORY, _REMEMBER_EVERY = 100, 4


class CausalVisibility:
    """Joins looks to hidden landmarks, one look after the other."""

    def __init__(self) -> None:
        self._recent: deque[Float] = deque(maxlen=MEDIAN_LOOKS)
        self._memory: deque[Float] = deque(maxlen=_MEMORY)
        self._looks = 0
        self._hidden = np.zeros(MESH_POINTS, bool)

    def add(self, probability: Float) -> Mask:
        """Hidden landmarks (468,) after a look that gave these probabilities (468,) of being visible."""
        if self._looks % _REMEMBER_EVERY == 0:
            self._memory.append(probability)
        self._looks += 1
        self._recent.append(probability)
        count = len(self._recent)
        usual = calibrated(np.stack([*self._memory, *self._recent]))[-count:]
        # The last row is the mean over neighbours alone, the one before it also a median over time.
        spread = smoothed(usual)
        now, agreed = spread[-1], spread[-2] if count == MEDIAN_LOOKS else spread[-1]
        enters = (agreed < ENTER) | (now < SURE)
        stays = self._hidden & (agreed < LEAVE)
        hidden = enters | stays
        self._hidden = hidden & large_groups(hidden) if hidden.any() else hidden
        return self._hidden


class VisibilityThread(WorkerThread):
    """Looks at frames beside the session, one at a time; ``cpu_s`` is without the hand detector's own threads.

    Args:
        finder: looks at one frame; it is closed with the thread.
        every: at most every n-th offered frame is looked at; fewer if a look takes longer.

    Attributes:
        hidden: (468,) landmarks that are hidden after the newest look.
        looks: number of looks.
    """

    def __init__(self, finder: OcclusionFinder, every: int = 2) -> None:
        super().__init__("visibility")
        self._finder, self._every = finder, every
        self._causal = CausalVisibility()
        self._work: tuple[Picture, Float, Float] | None = None
        self._offers = every  # the first offer is due
        self.hidden = np.zeros(MESH_POINTS, bool)
        self.looks = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._finder.close()

    def offer(self, picture: Picture, box: Float, landmarks: Float) -> None:
        """Offer a frame; it is looked at if its turn has come and the last look is finished.

        Args:
            picture: (H, W, 3) RGB.
            box: crop box ``(x0, y0, size)``, pixels of the picture.
            landmarks: (468, 2) crop coordinates.
        """
        self.check()
        with self.changed:
            self._offers += 1
            if self._offers >= self._every and self._work is None:
                self._offers = 0
                self._work = (picture, box, landmarks)
                self.changed.notify_all()

    def has_work(self) -> bool:
        """Whether a frame waits."""
        return self._work is not None

    def take(self) -> tuple[Picture, Float, Float] | None:
        """The frame, which stays until it has been looked at, so that no other is offered meanwhile."""
        return self._work

    def work(self, taken: tuple[Picture, Float, Float]) -> None:
        """Look at the frame."""
        self._finder.next_turn()
        hidden = self._causal.add(self._finder.look(*taken))
        with self.changed:
            self.hidden = hidden
            self.looks += 1
            self._work = None
