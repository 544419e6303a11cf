"""Settings of published data: where EMOTE's processed MEAD lies, for those who have it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EmoteSettings:
    """EMOTE's processed MEAD, read where ``landmarks.source`` or ``reconstruction.source`` is ``published``."""

    #: Its folder ``processed``, with ``landmarks_original/`` and ``reconstructions/`` in it; null: none.
    folder: str | None = None
    #: Folder in ``reconstructions/`` whose coefficients are read.
    reconstruction: str = "EMICA-MEAD_flame2020"
    #: A clip whose published data are longer or shorter than its video at 25 fps by up to so many frames is cut, or
    #: filled at its end; with a larger difference it fails with ``frames_differ``.
    frames_tolerance: int = 3

    def __post_init__(self) -> None:
        if self.frames_tolerance < 0:
            raise ValueError(f"frames_tolerance: got {self.frames_tolerance}, needs 0 or more")
        if not self.reconstruction or "/" in self.reconstruction or self.reconstruction.startswith("."):
            raise ValueError(f"reconstruction: got {self.reconstruction!r}, needs the name of a folder")
