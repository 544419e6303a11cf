"""Which landmarks are hidden now, from past frames only; a thread looks at some frames with the occlusion network.

The same evidence as in `visibility.joining`, with what a live session knows: no later frames. A landmark becomes hidden
if two of the last three looks agree, or at once if one look is sure. It becomes visible again if two of three agree.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.live.source import Picture
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


class VisibilityThread:
    """Looks at frames beside the session, one at a time. A context manager.

    Args:
        finder: looks at one frame.
        every: at most every n-th offered frame is looked at; fewer if a look takes longer.

    Attributes:
        hidden: (468,) landmarks that are hidden after the newest look.
        looks: number of looks.
        cpu_s: processor time of this thread, seconds, without that of the hand detector's own threads.
    """

    def __init__(self, finder: OcclusionFinder, every: int = 2) -> None:
        self._finder, self._every = finder, every
        self._causal = CausalVisibility()
        self._changed = threading.Condition()
        self._work: tuple[Picture, Float, Float] | None = None
        self._stopped = False
        self._error: Exception | None = None
        self._offers = every  # the first offer is due
        self._thread = threading.Thread(target=self._run, name="visibility", daemon=True)
        self.hidden = np.zeros(MESH_POINTS, bool)
        self.looks, self.cpu_s = 0, 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
        self._finder.close()

    def offer(self, picture: Picture, box: Float, landmarks: Float) -> None:
        """Offer a frame; it is looked at if its turn has come and the last look is finished.

        Args:
            picture: (H, W, 3) RGB.
            box: crop box ``(x0, y0, size)``, pixels of the picture.
            landmarks: (468, 2) crop coordinates.
        """
        with self._changed:
            if self._error is not None:
                raise self._error
            self._offers += 1
            if self._offers >= self._every and self._work is None:
                self._offers = 0
                self._work = (picture, box, landmarks)
                self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work or self._stopped)
                if self._stopped or self._work is None:
                    return
                work = self._work
            try:
                hidden = self._causal.add(self._finder.look(*work))
            except Exception as error:  # noqa: BLE001 - the session's thread raises it
                self._error = error
                return
            with self._changed:
                self.hidden = hidden
                self.looks += 1
                self.cpu_s = time.thread_time()
                self._work = None
