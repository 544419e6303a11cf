"""Names of the occluders that the program paints before faces."""

from __future__ import annotations

from typing import Literal, get_args

Occluder = Literal["hand", "mask", "cup", "microphone", "phone"]
OCCLUDERS: tuple[Occluder, ...] = get_args(Occluder)
