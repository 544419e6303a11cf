"""Settings of the packed training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from occlufacediff.config.constraints import Section

Precision = Literal["float32", "float16"]


@dataclass(frozen=True)
class PackingSettings(Section):
    """Packed files, from which trainings read windows."""

    #: Precision of landmarks and audio in them; ``float16`` halves these, for data sets that the memory cannot cache.
    #: Landmarks move by at most 0.03 crop pixels. Coefficients are always float32.
    precision: Precision = "float32"
