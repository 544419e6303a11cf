"""The rates that all rooms share."""

from __future__ import annotations

#: Frames a second of everything after conversion.
FPS = 25
#: Samples a second of every waveform, mono.
SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
#: Rows a second and bands of the log-mel spectrogram.
MEL_RATE = 100
MEL_ROWS_PER_FRAME = MEL_RATE // FPS
MEL_BANDS = 80
