"""Frame and sample rates that all packages share."""

from __future__ import annotations

#: Frames per second after conversion.
FPS = 25
#: Samples per second of all waveforms (mono).
SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
#: Rows per second and bands of the log-mel spectrogram.
MEL_RATE = 100
MEL_ROWS_PER_FRAME = MEL_RATE // FPS
MEL_BANDS = 80
