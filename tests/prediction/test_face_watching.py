"""Occlusions that are looked for in a thread, while faces of the next frames are detected."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

from occlufacediff.face_mesh import LIPS
from occlufacediff.prediction.observation import FaceWatching

FRAMES = 30


class OneFace:
    """Detects one face, which is missing in the frame ``away``."""

    def __init__(self, away: int | None = None) -> None:
        self._number, self._away = 0, away

    def detect(self, frame: np.ndarray) -> np.ndarray:
        self._number += 1
        if self._number - 1 == self._away:
            return np.zeros((0, 478, 2), np.float32)
        rng = np.random.default_rng(self._number)
        return rng.uniform(10, 50, (1, 478, 2)).astype(np.float32)

    def reset(self) -> None:
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Finder:
    """Sees a hidden mouth from the frame ``hidden`` on; fails in the frame ``broken``."""

    def __init__(self, hidden: int = FRAMES, broken: int = FRAMES) -> None:
        self.hidden, self.broken = hidden, broken
        self.threads: set[int] = set()
        self.closed = False
        self.clear = False
        self.looked: list[int] = []

    def next_turn(self) -> None: ...

    @staticmethod
    def is_due(frame: int) -> bool:
        return frame % 2 == 0

    def look(self, frame: np.ndarray, box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        assert not self.closed
        number = int(frame[0, 0, 0])
        if number == self.broken:
            raise RuntimeError("broken look")
        self.threads.add(threading.get_ident())
        self.looked.append(number)
        self.clear = number < self.hidden
        seen = np.clip(0.95 + 0.01 * landmarks[:, 0], 0, 1).astype(np.float32)
        seen[list(LIPS)] *= 0.1 if number >= self.hidden else 1
        return seen

    def close(self) -> None:
        self.closed = True


def watched(finder: Any, *, beside: bool, away: int | None = None) -> FaceWatching:
    watching = FaceWatching(OneFace(away), finder, 1.5, beside=beside)
    watching.reset()
    with watching:
        for number in range(FRAMES):
            watching.detect(np.full((64, 64, 3), number, np.uint8))
    return watching


def test_a_thread_sees_what_the_caller_would_see() -> None:
    alone, other = Finder(hidden=20), Finder(hidden=20)
    face_index = np.zeros(FRAMES, np.int32)
    one, two = watched(alone, beside=False), watched(other, beside=True)
    np.testing.assert_array_equal(one.of_faces(face_index).probability, two.of_faces(face_index).probability)
    np.testing.assert_array_equal(one.of_faces(face_index).hidden, two.of_faces(face_index).hidden)
    assert one.of_faces(face_index).hidden[-1].any()
    assert alone.threads == {threading.get_ident()} and threading.get_ident() not in other.threads
    assert len(other.threads) == 1


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("hidden", [16, 18, 20, 22])
def test_looks_are_skipped_until_something_is_seen(hidden: int, beside: bool) -> None:
    """From there on nothing is skipped, and the frame that was skipped before is looked at too."""
    finder = Finder(hidden=hidden)
    watching = watched(finder, beside=beside)
    first_seen = -(-hidden // 4) * 4
    expected = [*range(0, first_seen, 4), *range(first_seen - 2, FRAMES, 2)]
    assert sorted(finder.looked) == expected
    found = watching.of_faces(np.zeros(FRAMES, np.int32)).hidden[:, list(LIPS)].any(axis=1)
    assert np.flatnonzero(found)[0] in range(hidden - 2, hidden + 1)


@pytest.mark.parametrize("beside", [True, False])
def test_the_last_look_of_a_clip_is_not_skipped(beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.FRAMES", 31)
    finder = Finder(hidden=30, broken=99)
    found = watched(finder, beside=beside).of_faces(np.zeros(31, np.int32)).hidden[:, list(LIPS)].any(axis=1)
    assert finder.looked[-1] == 30
    assert np.flatnonzero(found).tolist() == [29, 30]


def test_looks_beside_a_missing_face_are_not_skipped() -> None:
    finder = Finder()
    watched(finder, beside=False, away=11)
    assert sorted(finder.looked) == [0, 4, 8, 10, 12, 16, 20, 24, 28]


def test_a_hidden_mouth_is_announced() -> None:
    assert not watched(Finder(), beside=True).mouth_seems_hidden
    assert watched(Finder(hidden=20), beside=True).mouth_seems_hidden
    assert watched(Finder(), beside=True, away=5).mouth_seems_hidden


@pytest.mark.parametrize("broken", [0, FRAMES - 2])
def test_an_error_in_the_thread_is_raised(broken: int) -> None:
    """Also one of the last looks, which nothing waits for until visibility is asked for."""
    with pytest.raises(RuntimeError, match="broken look"):
        watched(Finder(broken=broken), beside=True).of_faces(np.zeros(FRAMES, np.int32))
