"""Settings of the synthetic data set: speakers, clips, sentences, emotions and rendering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import (
    DISTINCT,
    Count,
    CountOrZero,
    EvenPixels,
    Fraction,
    Limits,
    NotNegative,
    RateFactor,
    Section,
)
from occlufacediff.config.occluders import Occluder

#: Emotions of `occlufacediff.synthetic.behaviour`; `neutral` has one level, the others have three.
KNOWN_EMOTIONS = ("neutral", "happy", "angry", "sad", "surprised", "disgusted", "fear", "contempt")


@dataclass(frozen=True)
class SyntheticSettings(Section):
    """Size and content of the synthetic archives."""

    #: Factor of the number of subjects in each split: 1 gives 100 clips, 20 gives 2,000.
    scale: Count = 1
    #: Training subjects (times ``scale``).
    training_subjects: Count = 5
    #: Validation subjects (times ``scale``).
    validation_subjects: Count = 1
    #: Test subjects (times ``scale``).
    test_subjects: Count = 2
    #: Clips per training subject.
    training_clips: Count = 14
    #: Clips per validation or test subject, and number of held-out sentences of each of these splits.
    held_out_clips: Count = 10
    #: Training sentences that all training subjects speak; their other sentences are unique.
    shared_sentences: CountOrZero = 10
    #: Emotions; ``neutral`` has level 1 only, the others levels 1 to 3.
    emotions: tuple[str, ...] = ("neutral", "happy", "angry", "sad", "surprised")
    #: Shortest clip; shorter sentences are followed by silence.
    min_seconds: Annotated[float, Limits(ge=1)] = 2.7
    #: Longest clip; longer sentences are spoken faster.
    max_seconds: Annotated[float, Limits(ge=2.5)] = 4.0
    #: Width and height of the video, in pixels.
    picture_size: EvenPixels = 512
    #: Constant rate factor of H.264: 0 is lossless, 18 visually lossless, 51 the worst.
    video_quality: RateFactor = 18
    #: Variation of articulation between speakers; 0: none.
    articulation_spread: NotNegative = 1.0
    #: Strength of distractors: motion of cheeks, nose, eyes and brows that is independent of speech; 0: none.
    distractor_strength: NotNegative = 1.0
    #: SD of the head's yaw, in degrees; pitch has 0.6 of it and roll 0.4.
    head_motion_degrees: NotNegative = 6.0
    #: Mean signal-to-noise ratio of the audio, in dB; it varies between clips.
    noise_snr_db: float = 32.0
    #: Maximum reverberation of a clip, relative to the direct sound; 0: none.
    reverberation: NotNegative = 0.2
    #: Occluders that are rendered before the faces: ``hand``, ``mask``, ``cup``, ``microphone``, ``phone``. Each
    #: occluded clip has one of them; none: the faces are clear. The true visibility is in ``truth/<subject>.h5``.
    occluders: Annotated[tuple[Occluder, ...], DISTINCT] = ()
    #: Part of the clips that have an occluder, if there are ``occluders``.
    occluded_clips: Fraction = 1.0

    def __post_init__(self) -> None:
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"min_seconds: got {self.min_seconds}, needs at most max_seconds ({self.max_seconds})")
        unknown = sorted(set(self.emotions) - set(KNOWN_EMOTIONS))
        if unknown or not self.emotions or len(set(self.emotions)) != len(self.emotions):
            raise ValueError(f"emotions: got {list(self.emotions)}, needs different ones of {list(KNOWN_EMOTIONS)}")
