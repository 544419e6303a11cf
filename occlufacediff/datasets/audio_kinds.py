"""The kinds of audio that networks read."""

from __future__ import annotations

#: Kind of audio by the denoiser's audio encoder.
AUDIO_OF_ENCODER = {"log_mel": "log_mel", "speech": "speech", "wav2vec2": "waveform"}
#: Kind of audio by ``denoiser.preset``.
AUDIO_OF_PRESET = {"compact": "log_mel", "open": "speech", "published": "waveform"}
