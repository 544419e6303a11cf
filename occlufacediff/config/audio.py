"""Settings of the audio stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import Limits, NotNegative, Section


@dataclass(frozen=True)
class AudioSettings(Section):
    """Checks of a clip's audio; the models fix the rate (16 kHz mono) and the log-mel (80 bands, 100 Hz)."""

    #: Largest difference of audio and video duration; a larger one fails with ``audio_mismatch``. Audio is
    #: padded or cut at its end, never stretched.
    max_mismatch_s: NotNegative = 1.0
    #: Level below which audio counts as silent, in dB relative to full scale; recorded, not rejected.
    silence_db: Annotated[float, Limits(-200, 0)] = -60.0
