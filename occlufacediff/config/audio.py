"""Settings of the sound stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioSettings:
    """What is asked of a clip's sound; rate (16 kHz mono) and log-mel (80 bands, 100 Hz) are fixed by the models."""

    #: Largest difference between the lengths of sound and picture, in seconds, before the clip is refused as
    #: ``audio_mismatch``; smaller ones are padded or cut at the end, never stretched.
    max_mismatch_s: float = 1.0
    #: Level below which the whole sound counts as silence, in dB relative to full scale; recorded, not refused.
    silence_db: float = -60.0

    def __post_init__(self) -> None:
        if self.max_mismatch_s < 0:
            raise ValueError(f"max_mismatch_s: got {self.max_mismatch_s}, needs 0 or more")
        if not -200 <= self.silence_db <= 0:
            raise ValueError(f"silence_db: got {self.silence_db}, needs -200 to 0")
