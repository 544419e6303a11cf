"""What a user should know of a video and of what was made of it, in a line each."""

from __future__ import annotations

from occlufacediff.media.rates import FPS
from occlufacediff.prediction.observe import Observation

#: Fewer frames than this between sound and picture nobody sees.
_SEEN_OFFSET = 2


def notes_of_faces(seen: Observation) -> list[str]:
    """Frames without a face, and with several."""
    notes = []
    missing = int((~seen.known.any(axis=1)).sum())
    if missing:
        notes.append(f"no face in {missing} of {seen.frames} frames; they count as hidden")
    if seen.n_faces.max() > 1:
        several = int((seen.n_faces > 1).sum())
        notes.append(f"up to {seen.n_faces.max()} faces (in {several} frames); the largest is followed")
    return notes


def notes_of_offset(frames: int) -> list[str]:
    """Sound that comes so many frames late, or early if negative."""
    if abs(frames) < _SEEN_OFFSET:
        return []
    late = f"about {1000 * abs(frames) // FPS} ms {'later' if frames > 0 else 'earlier'} than the picture"
    return [f"the sound seems to come {late}; a hidden mouth moves in step with the picture"]
