"""Decides at which frames of a clip to look for occlusions: less often while the face seems clear."""

from __future__ import annotations

from collections.abc import Callable

#: A look at one frame. Returns True if everything in it seems clear.
Look = Callable[[], bool]


class Attention:
    """Skips every second look while the face seems clear.

    A look that sees something is followed by the one that was skipped before it, and no further look is skipped until
    the face seems clear again. So an occlusion is seen by the same looks as if none were skipped, unless it is over
    between two looks at a clear face.
    """

    def __init__(self) -> None:
        self._clear = False
        self._skipped: Look | None = None

    def due(self, look: Look) -> None:
        """Look at a frame whose turn has come, or keep it for later."""
        if self._clear and self._skipped is None:
            self._skipped = look
            return
        self._clear = look()
        if self._clear:
            self._skipped = None
        else:
            self._look_at_skipped()

    def no_face(self) -> None:
        """A frame shows no face, because something may hide it: do not skip the frames before and after it."""
        self._clear = False
        self._look_at_skipped()

    def end(self) -> None:
        """The clip ends: look at the last frame if it was skipped."""
        self._look_at_skipped()

    def _look_at_skipped(self) -> None:
        if self._skipped is not None:
            self._skipped()
        self._skipped = None
