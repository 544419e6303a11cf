"""Speech as the networks and the adaptation use it: phones, words and audio features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.datasets.clips import normalised_waveform
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME
from occlufacediff.prediction.hearing import transcribe
from occlufacediff.prediction.networks import Networks
from occlufacediff.speech.feature_columns import padding_row
from occlufacediff.speech.phones import Phones

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Speech:
    """What the networks and the adaptation use of the audio of T frames.

    Attributes:
        waveform: (640 T,) float32, 16 kHz.
        log_mel: (4 T, 80) float32.
        transcripts: phones by the phone recogniser and, if words are recognised too, phones of these words.
        features: (4 T, 60) float32 of `speech_features`; None for networks without phones.
    """

    waveform: Float
    log_mel: Float
    transcripts: tuple[Phones, ...] = ()
    features: Float | None = None

    @property
    def phones(self) -> Phones:
        """Phones by the phone recogniser.

        Raises:
            ValueError: no phones were recognised.
        """
        if not self.transcripts:
            raise ValueError("transcripts: got none, needs the recognised phones")
        return self.transcripts[0]

    def condition(self, networks: Networks, offset: int = 0) -> torch.Tensor:
        """Audio condition of the denoiser; its form depends on the network.

        Args:
            networks: the networks.
            offset: audio offset, frames; phones and spectrogram are moved by it to match the video.

        Raises:
            ValueError: the network needs ``features`` and there are none.
        """
        if networks.denoiser.config.audio == "wav2vec2":
            return torch.from_numpy(normalised_waveform(self.waveform))
        if not networks.uses_phones:
            return torch.from_numpy(np.ascontiguousarray(self.log_mel))
        if self.features is None:
            raise ValueError("features: got None, needs those of `recognise_speech` for networks with phones")
        rows = np.arange(len(self.features)) + offset * MEL_ROWS_PER_FRAME
        exists = (rows >= 0) & (rows < len(self.features))
        values = np.where(exists[:, None], self.features[np.where(exists, rows, 0)], padding_row(self.features))
        return torch.from_numpy(np.ascontiguousarray(values))


def recognise_speech(
    waveform: Float,
    log_mel: Float,
    networks: Networks,
    adaptation: AdaptationSettings,
    *,
    phones: Phones | None = None,
) -> Speech:
    """Recognise phones, and words where the adaptation uses them, as far as the networks need them.

    Args:
        waveform: (640 T,) at 16 kHz.
        log_mel: (4 T, 80).
        networks: networks without phones need waveform and spectrogram only.
        adaptation: decides whether words are recognised.
        phones: phones that were recognised before; None recognises them.
    """
    if not networks.uses_phones:
        return Speech(waveform, log_mel, () if phones is None else (phones,))
    words = needs_words(networks, adaptation)
    return Speech(waveform, log_mel, *transcribe(waveform, log_mel, words=words, phones=phones))


def needs_words(networks: Networks, adaptation: AdaptationSettings) -> bool:
    """Whether words are recognised beside phones."""
    return networks.uses_phones and adaptation.enabled and adaptation.words and networks.adaptable
