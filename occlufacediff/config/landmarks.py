"""Settings of landmark detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from occlufacediff.config.constraints import Fraction, Limits, Section


@dataclass(frozen=True)
class LandmarkSettings(Section):
    """The landmark detector and its limits."""

    #: Source of landmarks: a detector (``detect``), or EMOTE's files (``emote``; of the keys below only ``min_found``
    #: applies then).
    source: Literal["detect", "emote"] = "detect"
    #: ``mediapipe``: 478 points, weights included; ``face_alignment``: 68 points, assigned to mesh points, other
    #: points are unknown.
    detector: Literal["mediapipe", "face_alignment"] = "mediapipe"
    #: Detect each frame independently (true), or track from the previous frame (false; faster, may lag behind).
    static: bool = True
    #: Search for faces that are small in the picture (40 to 190 of 1080 pixels) until the mesh finds a face in the
    #: clip; ``mediapipe`` only.
    small_faces: bool = True
    #: Maximum number of faces to detect per frame; the largest is tracked.
    max_faces: Annotated[int, Limits(1, 20)] = 3
    #: Minimum confidence of a detection, 0 to 1.
    min_confidence: Fraction = 0.5
    #: Minimum fraction of frames with a face; a clip with fewer fails with ``few_faces``.
    min_found: Fraction = 0.25
    #: Torch hub folder with the weights of ``face_alignment`` (in its ``checkpoints``); empty: download them.
    weights: str = ""
    #: Device of ``face_alignment``.
    device: Literal["cpu", "cuda"] = "cpu"
