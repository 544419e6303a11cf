"""Finds hidden landmarks of a face by itself, with the segmentation network and the hand detector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from occlufacediff.landmarks.crop import crop_image
from occlufacediff.visibility.hands import HandFinder, draw_hands
from occlufacediff.visibility.inputs import INPUT_PX, draw_mesh, network_input
from occlufacediff.visibility.joining import (
    UNCERTAIN,
    between,
    calibrated,
    hidden_landmarks,
    sampled,
    smoothed,
)
from occlufacediff.weights import occlusion_weights

Float = NDArray[np.float32]

#: Turns of the network: every n-th frame. Some are skipped, see `attention`; frames between looks are interpolated.
EVERY = 2
#: Hands are searched when this number of turns had no search, while one is before the face, and while something seems
#: to be there.
HANDS_EVERY = 4
#: Something seems to be there if more than this part of the face seems hidden, or if the mean probability is by this
#: much lower than usual.
SUSPICIOUS, DROP = 0.03, 0.015
#: Probability of a landmark that a detected hand covers. Logit that is added for landmarks beside hands which cover at
#: least a part of the landmarks.
UNDER_HAND, BESIDE_HAND, HAND_SHARE = 0.05, 1.0, 0.02
#: Share of a new look in the usual mean probability.
_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class FoundVisibility:
    """Visibility of landmarks in T frames.

    Attributes:
        probability: (T, 468) that the landmark is visible, relative to the clip and smoothed over mesh and time.
        hidden: (T, 468) True where it counts as hidden.
        uncertain: (T, 468) True where it is hidden, or about to become hidden or visible; these are not used.
    """

    probability: Float
    hidden: NDArray[np.bool_]
    uncertain: NDArray[np.bool_]


class OcclusionFinder:
    """Looks at faces, one frame at a time.

    Args:
        weights: weights of the network; None for those of the package.

    Attributes:
        clear: nothing seemed to be before the face in the last look.

    Raises:
        AssetError: the weights are missing or damaged.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self._network = _network(weights or occlusion_weights())
        self._hands = HandFinder()
        self.clear = False
        self._usual: float | None = None
        self._suspicious = False
        self._hand_before = False
        self._turns_without_search = HANDS_EVERY - 1
        self._searched = False

    @staticmethod
    def is_due(frame: int) -> bool:
        """Whether it is the turn of a frame."""
        return frame % EVERY == 0

    def next_turn(self) -> None:
        """Begin the turn of another frame, whether its faces will be looked at or not."""
        self._turns_without_search = 0 if self._searched else self._turns_without_search + 1
        self._searched = False

    def look(self, frame: NDArray[np.uint8], box: NDArray[np.floating], landmarks: NDArray[np.floating]) -> Float:
        """Probabilities (468,) that landmarks are visible, from this frame alone.

        Args:
            frame: (H, W, 3) RGB.
            box: crop box ``(x0, y0, size)``, pixels of the frame.
            landmarks: (468, 2) crop coordinates.
        """
        small = cv2.resize(crop_image(frame, box), (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
        visible = self._map(np.asarray(small, np.uint8), landmarks)
        found = sampled(visible[None], np.asarray(landmarks)[None])[0]
        contour = cv2.resize(draw_mesh(landmarks)[0], visible.shape, interpolation=cv2.INTER_AREA) > 127
        if self._hand_is_possible(visible[contour]):
            hands = draw_hands(self._hands.find(frame, box))
            under = sampled(hands[None].astype(np.float32), np.asarray(landmarks)[None])[0] > 0.5
            found = with_hands(found, under)
            # Another face, or a skipped frame, without a hand does not end the search in the next turn.
            self._hand_before = bool(under.any()) or (self._searched and self._hand_before)
            self._searched = True
        self.clear = not (self._suspicious or self._hand_before)
        return np.asarray(found, np.float32)

    def _hand_is_possible(self, visible: Float) -> bool:
        """Whether to search for hands, from the probabilities of the face's pixels."""
        if not len(visible):
            return False
        mean = float(visible.mean())
        if self._usual is None:
            self._usual = mean
        self._suspicious = bool((visible < 0.5).mean() > SUSPICIOUS or mean < self._usual - DROP)
        self._usual += _SHARE * (mean - self._usual)
        return self._turns_without_search >= HANDS_EVERY or self._suspicious or self._hand_before

    def close(self) -> None:
        """Free the hand detector."""
        self._hands.close()

    def _map(self, picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> Float:
        """Probabilities (56, 56) that pixels of the crop show unoccluded face."""
        import torch

        from occlufacediff.device import one_thread

        values = torch.from_numpy(network_input(picture, landmarks)[None]).to(memory_format=torch.channels_last)
        with one_thread(), torch.inference_mode():
            out: Float = torch.sigmoid(self._network(values)[0, 0]).numpy()
        return out


def with_hands(probability: Float, under: NDArray[np.bool_]) -> Float:
    """Probabilities (468,) of being visible, given the landmarks (468,) that detected hands cover.

    A hand that covers a part of the face explains what seems to be before it. So landmarks beside its outline, which
    its shadow makes doubtful, are more probably visible than the network says.
    """
    out = np.where(under, np.minimum(probability, UNDER_HAND), probability)
    if under.mean() >= HAND_SHARE:
        beside = expit(logit(np.clip(probability, 0.003, 0.997)) + BESIDE_HAND)
        out = np.where(under, out, beside)
    return np.asarray(out, np.float32)


def join(evidence: dict[int, Float], frames: int) -> FoundVisibility:
    """Join what was seen in single frames.

    Args:
        evidence: (468,) probabilities by frame, from `OcclusionFinder.look`.
        frames: number of frames T.
    """
    at = np.array(sorted(evidence), np.int64)
    values = np.stack([evidence[number] for number in at]) if len(at) else np.ones((0, 468), np.float32)
    at, values = _with_skipped(at, np.asarray(values, np.float32))
    probability = between(smoothed(calibrated(np.asarray(values, np.float32))), at, frames)
    hidden = hidden_landmarks(probability)
    return FoundVisibility(probability, hidden, hidden | hidden_landmarks(probability, UNCERTAIN))


def _with_skipped(at: NDArray[np.int64], values: Float) -> tuple[NDArray[np.int64], Float]:
    """Frames (K,) and probabilities (K, 468) of looks, with the mean of its neighbours for each single skipped look.

    So filters over looks count all frames alike.
    """
    after = np.flatnonzero(np.diff(at) == 2 * EVERY) + 1
    means = (values[after - 1] + values[after]) / 2
    return np.insert(at, after, at[after] - EVERY), np.insert(values, after, means, axis=0)


@cache
def _network(weights: Path) -> Any:
    """The network, loaded once per process; as a frozen graph, which takes half of the time."""
    from occlufacediff.visibility.network import frozen, load_segmentation

    return frozen(load_segmentation(weights))
