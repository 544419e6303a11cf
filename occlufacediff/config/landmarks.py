"""Settings of landmark detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LandmarkSettings:
    """Which detector finds the face and what is asked of its result."""

    #: Where landmarks come from: a detector finds them (``detect``), or EMOTE's files are read (``emote``, see
    #: ``emote.folder``); of the other keys here only ``min_found`` counts then.
    source: Literal["detect", "emote"] = "detect"
    #: ``mediapipe``: 478 points, weights in its wheel; ``face_alignment``: 68 points put on the mesh, others unknown.
    detector: Literal["mediapipe", "face_alignment"] = "mediapipe"
    #: Every frame on its own (true) or followed from the frame before (false, faster, may lag behind).
    static: bool = True
    #: Most faces looked for in a frame; the largest is followed.
    max_faces: int = 3
    #: Least confidence of the detector, 0 to 1.
    min_confidence: float = 0.5
    #: Least part of a clip's frames with a face, 0 to 1; below it the clip fails with ``few_faces``.
    min_found: float = 0.25
    #: Torch hub folder with the weights of ``face_alignment`` (in its ``checkpoints``); empty: its own download.
    weights: str = ""
    #: Where ``face_alignment`` computes.
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if not 1 <= self.max_faces <= 20:
            raise ValueError(f"max_faces: got {self.max_faces}, needs 1 to 20")
        for name in ("min_confidence", "min_found"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: got {value}, needs 0 to 1")
