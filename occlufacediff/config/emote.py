"""Settings of EMOTE's processed MEAD data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import CountOrZero, Rule, Section


@dataclass(frozen=True)
class EmoteSettings(Section):
    """EMOTE's processed MEAD, used if ``landmarks.source`` or ``reconstruction.source`` is ``emote``."""

    #: Folder ``processed`` with ``landmarks_original/`` and ``reconstructions/``; null: none.
    folder: str | None = None
    #: Folder in ``reconstructions/`` with the coefficients to read.
    reconstruction: Annotated[
        str, Rule(lambda name: bool(name) and "/" not in name and not name.startswith("."), "the name of a folder")
    ] = "EMICA-MEAD_flame2020"
    #: Allowed difference between EMOTE's frames and the 25 fps video; the end is cut or filled. A larger one fails
    #: with ``frames_differ``.
    frames_tolerance: CountOrZero = 3
