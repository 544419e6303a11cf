"""Settings of the readers' training: the viseme reader and the emotion reader of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from occlufacediff.config.constraints import BelowOne, Count, Limits, Positive, Section, Seed


@dataclass(frozen=True)
class ReaderSettings(Section):
    """Training of the viseme reader and the emotion reader on generated clips: the target ``reader_weights``."""

    #: Seed of clips and training, independent of the global seed, so that all users make the same readers.
    seed: Seed = 11
    #: Generated clips; each has its own speaker and sentence.
    clips: Annotated[int, Limits(ge=16)] = 800
    #: Number of optimizer steps of each reader.
    steps: Count = 900
    #: Excerpts of clips in a step.
    batch_size: Count = 32
    #: Length of an excerpt, in frames.
    frames: Annotated[int, Limits(ge=16)] = 56
    #: Peak learning rate.
    learning_rate: Positive = 0.002
    #: Width of the networks.
    width: Annotated[int, Limits(ge=8)] = 64
    #: Principal components of the mouth's motion that the viseme reader sees.
    mouth_components: Annotated[int, Limits(ge=4)] = 24
    #: Principal components of the face's motion that the emotion reader sees.
    face_components: Annotated[int, Limits(ge=4)] = 36
    #: Largest change of a clip's motion by a factor, as a share.
    gain: BelowOne = 0.15
    #: Share of excerpts whose motion was fitted to rendered videos; the others get errors of such a fit.
    fitted_share: BelowOne = 0.25


@dataclass(frozen=True)
class LipReadingSettings(Section):
    """A lip reader of yours, applied to rendered heads (docs/readers.md)."""

    #: TorchScript or ONNX file; null: no lip reading.
    reader: str | None = None
    #: What it does: ``av_hubert`` reads text or phonemes from mouth crops, ``features`` describes mouth crops by
    #: numbers, ``syncnet`` compares faces with the audio.
    kind: Literal["av_hubert", "features", "syncnet"] = "av_hubert"
    #: Text file with the labels of the output of ``av_hubert``, one per line, the blank first.
    labels: str | None = None
    #: Whether these labels spell text, or are phonemes of eSpeak NG.
    units: Literal["text", "phonemes"] = "text"

    def __post_init__(self) -> None:
        if self.reader is not None and self.kind == "av_hubert" and self.labels is None:
            raise ValueError("labels: got nothing, needs a file of labels because kind is 'av_hubert'")
