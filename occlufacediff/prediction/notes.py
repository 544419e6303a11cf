"""What a user should know of a video and of what was made of it, in a line each."""

from __future__ import annotations

import numpy as np

from occlufacediff.media.rates import FPS
from occlufacediff.prediction.observe import Observation

#: Parts of the crop by which no face moves from a frame to the next, and the logarithm of a growth that none has.
_MOVED = 0.25
_GROWN = 0.2
#: Leaps that are told with their times.
_MOST_TOLD = 3
#: Fewer frames than this between sound and picture nobody sees.
_SEEN_OFFSET = 2


def notes_of_faces(seen: Observation) -> list[str]:
    """Damaged frames, those without a face, with several, and those in which it leaps."""
    notes = []
    if seen.damaged:
        notes.append(f"{seen.damaged} pictures of the file are damaged; those after them may be smeared")
    missing = int((~seen.known.any(axis=1)).sum())
    if missing:
        notes.append(f"no face in {missing} of {seen.frames} frames; they count as hidden")
    if seen.n_faces.max() > 1:
        several = int((seen.n_faces > 1).sum())
        notes.append(f"up to {seen.n_faces.max()} faces (in {several} frames); the largest is followed")
    if jumps := _jumps(seen):
        told = ", ".join(f"{at / FPS:.2f}" for at in jumps[:_MOST_TOLD]) + (" ..." if len(jumps) > _MOST_TOLD else "")
        notes.append(
            f"the face leaps at {told} s (a cut?); identity and habits are taken to be those of one person, so predict "
            "each shot by itself"
        )
    return notes


def _jumps(seen: Observation) -> list[int]:
    """Frames in which the face is suddenly elsewhere, or of another size, than in the frame before."""
    found = seen.known.any(axis=1)
    centre, size = seen.boxes[:, :2] + seen.boxes[:, 2:] / 2, seen.boxes[:, 2]
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1) / np.minimum(size[1:], size[:-1])
    grown = np.abs(np.diff(np.log(size)))
    leaps = found[1:] & found[:-1] & ((moved > _MOVED) | (grown > _GROWN))
    return [int(number) + 1 for number in np.flatnonzero(leaps)]


def notes_of_offset(frames: int) -> list[str]:
    """Sound that comes so many frames late, or early if negative."""
    if abs(frames) < _SEEN_OFFSET:
        return []
    late = f"about {1000 * abs(frames) // FPS} ms {'later' if frames > 0 else 'earlier'} than the picture"
    return [f"the sound seems to come {late}; a hidden mouth moves in step with the picture"]
