"""Plan of the synthetic data set: subject, sentence and emotion of each clip. Needs the standard library only.

Splits share neither subjects nor sentences: a subject speaks only sentences of its own split.
With h = ``held_out_clips``, sentences 0 to h - 1 are for test, h to 2h - 1 for validation, 2h and up for training.
"""

from __future__ import annotations

from dataclasses import dataclass

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.synthetic import sentences as texts

SPLITS = ("train", "validation", "test")
LEVELS = (1, 2, 3)


@dataclass(frozen=True)
class PlannedClip:
    """One planned clip. ``number`` counts the clips of a subject with the same emotion and level."""

    subject: str
    emotion: str
    level: int
    number: int
    sentence_id: int
    text: str

    @property
    def clip(self) -> str:
        """Path of the clip in its archive without suffix: ``<emotion>/level_N/NNN``."""
        return f"{self.emotion}/level_{self.level}/{self.number:03d}"

    @property
    def clip_id(self) -> str:
        """``<subject>/<clip>``, unique in the data set."""
        return f"{self.subject}/{self.clip}"


def split_subjects(settings: SyntheticSettings) -> dict[str, list[str]]:
    """Names of the subjects of each split, in the style of MEAD: M101, W101, M102, W102, ..."""
    counts = (settings.training_subjects, settings.validation_subjects, settings.test_subjects)
    result: dict[str, list[str]] = {}
    index = 0
    for split, count in zip(SPLITS, counts, strict=True):
        names = []
        for _ in range(count * settings.scale):
            names.append(f"{'MW'[index % 2]}{101 + index // 2}")
            index += 1
        result[split] = names
    return result


def subject_names(settings: SyntheticSettings) -> list[str]:
    """Names of all subjects, in the order train, validation, test."""
    return [name for names in split_subjects(settings).values() for name in names]


def split_sentences(settings: SyntheticSettings) -> dict[str, list[int]]:
    """Sentence ids of each split; the splits are disjoint."""
    held_out = settings.held_out_clips
    shared = min(settings.shared_sentences, settings.training_clips)
    own = (settings.training_clips - shared) * settings.training_subjects * settings.scale
    return {
        "train": list(range(2 * held_out, 2 * held_out + shared + own)),
        "validation": list(range(held_out, 2 * held_out)),
        "test": list(range(held_out)),
    }


def sentence_text(sentence_id: int, settings: SyntheticSettings) -> str:
    """Text of a sentence: a written one, or a composed one once those are used up. Each text has one id."""
    held_out = settings.held_out_clips
    written: tuple[str, ...]
    if sentence_id < held_out:
        written, index = texts.TEST, sentence_id
    elif sentence_id < 2 * held_out:
        written, index = texts.VALIDATION, sentence_id - held_out
    else:
        written, index = texts.TRAINING, sentence_id - 2 * held_out
    return written[index] if index < len(written) else texts.composed_sentence(sentence_id)


def emotion_levels(settings: SyntheticSettings) -> list[tuple[str, int]]:
    """Pairs of emotion and level, ordered so that neighbouring pairs differ in emotion."""
    return [(emotion, level) for level in LEVELS for emotion in settings.emotions if emotion != "neutral" or level == 1]


def subject_clips(subject: str, settings: SyntheticSettings) -> list[PlannedClip]:
    """Clips of one subject, in the order of the archive.

    Raises:
        ValueError: the subject is not in the plan.
    """
    splits = split_subjects(settings)
    split = next((split for split, names in splits.items() if subject in names), None)
    if split is None:
        known = ", ".join(subject_names(settings))
        raise ValueError(f"subject {subject!r} is not in the synthetic plan; known: {known}")
    index = splits[split].index(subject)
    ids = split_sentences(settings)[split]
    if split == "train":
        shared = min(settings.shared_sentences, settings.training_clips)
        own = settings.training_clips - shared
        start = shared + index * own
        ids = ids[:shared] + ids[start : start + own]
    pairs = emotion_levels(settings)
    counts: dict[tuple[str, int], int] = {}
    clips = []
    for position, sentence_id in enumerate(ids):
        # Subjects start at different places of the cycle, so that a sentence occurs with several emotions.
        emotion, level = pairs[(position + 3 * index) % len(pairs)]
        number = counts[emotion, level] = counts.get((emotion, level), 0) + 1
        clips.append(PlannedClip(subject, emotion, level, number, sentence_id, sentence_text(sentence_id, settings)))
    return sorted(clips, key=lambda clip: clip.clip)


def all_clips(settings: SyntheticSettings) -> list[PlannedClip]:
    """Clips of all subjects, subject by subject."""
    return [clip for subject in subject_names(settings) for clip in subject_clips(subject, settings)]
