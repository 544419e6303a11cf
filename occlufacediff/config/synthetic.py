"""Settings of the embedded data set: how many speakers and clips, what they say and feel, how they are filmed."""

from __future__ import annotations

from dataclasses import dataclass

#: Emotions that `occlufacediff.synthetic.behaviour` can act; `neutral` has one level, the others three.
KNOWN_EMOTIONS = ("neutral", "happy", "angry", "sad", "surprised", "disgusted", "fear", "contempt")


@dataclass(frozen=True)
class SyntheticSettings:
    """Size, content and picture of the synthetic archives."""

    scale: int = 1
    """Multiplies the number of subjects of every split: 1 gives 100 clips, 20 gives 2,000."""
    training_subjects: int = 5
    """Subjects of the training split (times `scale`)."""
    validation_subjects: int = 1
    """Subjects of the validation split (times `scale`)."""
    test_subjects: int = 2
    """Subjects of the test split (times `scale`)."""
    training_clips: int = 14
    """Clips of each training subject."""
    held_out_clips: int = 10
    """Clips of each validation or test subject; also the number of sentences kept apart for each of these splits."""
    shared_sentences: int = 10
    """Training sentences spoken by every training subject; a subject's other clips are sentences of its own."""
    emotions: tuple[str, ...] = ("neutral", "happy", "angry", "sad", "surprised")
    """Emotions acted; `neutral` with level 1 only, the others with levels 1 to 3."""
    min_seconds: float = 2.7
    """Shortest clip in seconds; a shorter one gets a longer silence at its end."""
    max_seconds: float = 4.0
    """Longest clip in seconds; a sentence that would last longer is spoken faster."""
    picture_size: int = 512
    """Width and height of the picture in pixels."""
    video_quality: int = 18
    """Constant rate factor of H.264: 0 is lossless, 18 looks like the original, 51 is worst."""
    articulation_spread: float = 1.0
    """How much speakers differ in how they articulate; 0 makes them all alike."""
    distractor_strength: float = 1.0
    """Strength of motion of cheeks, nose, eyes and brows that has nothing to do with speech; 0 leaves it out."""
    head_motion_degrees: float = 6.0
    """Standard deviation of the head's yaw in degrees; pitch has 0.6 and roll 0.4 of it."""
    noise_snr_db: float = 32.0
    """Mean ratio of speech to background noise in decibels; clips differ by a few."""
    reverberation: float = 0.2
    """Loudest reverberation that a clip gets, as a share of the direct sound; 0 leaves it out."""

    def __post_init__(self) -> None:
        for name, low in (
            ("scale", 1),
            ("training_subjects", 1),
            ("validation_subjects", 1),
            ("test_subjects", 1),
            ("training_clips", 1),
            ("held_out_clips", 1),
            ("shared_sentences", 0),
            ("picture_size", 64),
        ):
            if getattr(self, name) < low:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs at least {low}")
        if self.picture_size % 2:
            raise ValueError(f"picture_size: got {self.picture_size}, needs an even number (H.264 4:2:0)")
        if not 0 <= self.video_quality <= 51:
            raise ValueError(f"video_quality: got {self.video_quality}, needs 0 to 51")
        if not 1.0 <= self.min_seconds <= self.max_seconds:
            raise ValueError(f"min_seconds: got {self.min_seconds}, needs 1 to max_seconds ({self.max_seconds})")
        if self.max_seconds < 2.5:
            raise ValueError(f"max_seconds: got {self.max_seconds}, needs at least 2.5 to hold a sentence")
        unknown = sorted(set(self.emotions) - set(KNOWN_EMOTIONS))
        if unknown or not self.emotions or len(set(self.emotions)) != len(self.emotions):
            raise ValueError(f"emotions: got {list(self.emotions)}, needs different ones of {list(KNOWN_EMOTIONS)}")
        for name in ("articulation_spread", "distractor_strength", "head_motion_degrees", "reverberation"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 or more")
