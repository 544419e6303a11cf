"""Settings of acquisition: which part of the archives is unpacked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AcquireSettings:
    """What is taken out of a subject's archives."""

    #: Camera of the clips: the folder in ``video.tar`` that is unpacked, ``front`` in MEAD's naming.
    view: str = "front"

    def __post_init__(self) -> None:
        if not self.view or any(sign in self.view for sign in "/\\ ") or self.view.startswith("."):
            raise ValueError(f"view: got {self.view!r}, needs the name of one camera, such as 'front'")
