"""When the finder searches for hands; the network and the hand detector are replaced."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.visibility.attention import Attention
from occlufacediff.visibility.finder import HANDS_EVERY, OcclusionFinder

LANDMARKS = np.random.default_rng(0).uniform(-0.5, 0.5, (468, 2)).astype(np.float32)
BOX = np.array([0, 0, 223], np.float32)
HAND = np.random.default_rng(1).uniform(60, 160, (1, 21, 2)).astype(np.float32)


class Hands:
    """Finds a hand in pictures that are not black, and keeps the first pixel of each that it searched."""

    def __init__(self) -> None:
        self.searched: list[int] = []

    def find(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        self.searched.append(int(frame[0, 0, 1]))
        return HAND if frame[0, 0, 0] else HAND[:0]

    def close(self) -> None: ...


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> OcclusionFinder:
    """A finder whose network always sees a clear face."""
    finder = OcclusionFinder()
    monkeypatch.setattr(finder, "_map", lambda picture, landmarks: np.full((56, 56), 0.98, np.float32))
    monkeypatch.setattr(finder, "_hands", Hands())
    return finder


def picture(number: int, *, hand: bool = False) -> np.ndarray:
    frame = np.zeros((224, 224, 3), np.uint8)
    frame[..., 0], frame[..., 1] = 255 * hand, number
    return frame


def test_hands_are_searched_after_some_turns_without_a_search(finder: OcclusionFinder) -> None:
    for number in range(12):
        finder.next_turn()
        finder.look(picture(number), BOX, LANDMARKS)
    assert finder._hands.searched == [0, HANDS_EVERY + 1, 2 * (HANDS_EVERY + 1)]


def test_a_hand_is_searched_again_in_the_next_turn_until_it_is_gone(finder: OcclusionFinder) -> None:
    for number in range(6):
        finder.next_turn()
        finder.look(picture(number, hand=number < 3), BOX, LANDMARKS)
        assert finder.clear == (number >= 3)
    assert finder._hands.searched == [0, 1, 2, 3]


def test_a_second_face_without_a_hand_does_not_end_the_search(finder: OcclusionFinder) -> None:
    for number in (0, 1):
        finder.next_turn()
        finder.look(picture(10 * number, hand=True), BOX, LANDMARKS)
        finder.look(picture(10 * number + 1), BOX, LANDMARKS)
    assert finder._hands.searched == [0, 1, 10, 11]


def test_a_skipped_frame_without_a_hand_does_not_end_the_search(finder: OcclusionFinder) -> None:
    """The network sees nothing of the hand, which comes between a skipped frame and the one after it."""
    attention, looked = Attention(), []
    first = 2 * (HANDS_EVERY + 2)  # the first frame with a search in which a hand is found
    for number in range(0, first + 6, 2):

        def look(number: int = number) -> bool:
            looked.append(number)
            finder.look(picture(number, hand=number >= first), BOX, LANDMARKS)
            return finder.clear

        finder.next_turn()
        attention.due(look)
    assert looked[-4:] == [first, first - 2, first + 2, first + 4]
    assert finder._hands.searched[-4:] == [first, first - 2, first + 2, first + 4]
