"""Limits of what is exported: values beyond them come from damaged files, and no program can show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ConfigError

#: Largest magnitude of each array of a motion, and its unit. Coefficients of FLAME are standard deviations, the open
#: head's are 1 for a whole action. `cam` holds crop coordinates per metre, then metres.
LIMITS: dict[str, tuple[float, str]] = {
    "exp": (1000, ""),
    "shape": (1000, ""),
    "jaw": (100, " radians"),
    "global_pose": (100, " radians"),
    "gaze": (100, " radians"),
    "cam": (1000, ""),
    "fps": (1000, " frames a second"),
}
#: Arrays without frames.
_OF_THE_CLIP = ("shape", "fps")


def require_plausible(about: str, name: str, values: NDArray[np.generic], remedy: str, item: str = "frame") -> None:
    """Refuse an array with values that are not finite or beyond their limit.

    Args:
        about: the file, beginning of messages.
        name: the array, one of `LIMITS`.
        values: of any shape; the first axis counts frames, except for ``shape`` and ``fps``.
        remedy: end of messages.
        item: what the first axis counts, if not frames.

    Raises:
        ConfigError: names the file, the array, the frame, the value and the limit.
    """
    limit, unit = LIMITS[name]
    # NaN fails this comparison too.
    wrong = np.argwhere(~(np.abs(values.astype(np.float64)) <= limit))
    if not len(wrong):
        return
    place = tuple(int(index) for index in wrong[0])
    where = "" if not place else f" in {item} {place[0]}" if name not in _OF_THE_CLIP else f" at place {place[0]}"
    raise ConfigError(
        f"{about}: entry {name!r} is {float(values[place]):g}{where}, needs finite values from {-limit:g} to "
        f"{limit:g}{unit}; {remedy}"
    )
