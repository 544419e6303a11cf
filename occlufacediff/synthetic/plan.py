"""Who says what with which emotion: the list of clips, known before anything is drawn (standard library only).

Splits share neither subjects nor sentences, and no clip is wasted: a subject speaks sentences of its own split only.
Sentence ids: with h = ``held_out_clips``, test sentences are 0 .. h-1, validation h .. 2h-1, training 2h and up.
"""

from __future__ import annotations

from dataclasses import dataclass

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.synthetic import sentences as texts

SPLITS = ("train", "validation", "test")
LEVELS = (1, 2, 3)


@dataclass(frozen=True)
class PlanClip:
    """One clip to be made: ``clip`` is ``<emotion>/level_N/NNN`` as in the archive."""

    subject: str
    emotion: str
    level: int
    number: int
    sentence_id: int
    text: str

    @property
    def clip(self) -> str:
        """Path of the clip inside its archive, without a suffix."""
        return f"{self.emotion}/level_{self.level}/{self.number:03d}"

    @property
    def clip_id(self) -> str:
        """``<subject>/<clip>``, unique in the data set."""
        return f"{self.subject}/{self.clip}"


def split_subjects(settings: SyntheticSettings) -> dict[str, list[str]]:
    """Names of the subjects of each split, in MEAD's style: men M101, M102 ..., women W101, W102 ..., in turn."""
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
    """All subjects, training ones first."""
    return [name for names in split_subjects(settings).values() for name in names]


def split_sentences(settings: SyntheticSettings) -> dict[str, list[int]]:
    """Sentence ids of each split; no id is in two of them."""
    held_out = settings.held_out_clips
    shared = min(settings.shared_sentences, settings.training_clips)
    own = (settings.training_clips - shared) * settings.training_subjects * settings.scale
    return {
        "train": list(range(2 * held_out, 2 * held_out + shared + own)),
        "validation": list(range(held_out, 2 * held_out)),
        "test": list(range(held_out)),
    }


def sentence_text(sentence_id: int, settings: SyntheticSettings) -> str:
    """Text of a sentence: written ones first, composed ones after them; no text has two ids."""
    held_out = settings.held_out_clips
    written: tuple[str, ...]
    if sentence_id < held_out:
        written, index = texts.TEST, sentence_id
    elif sentence_id < 2 * held_out:
        written, index = texts.VALIDATION, sentence_id - held_out
    else:
        written, index = texts.TRAINING, sentence_id - 2 * held_out
    return written[index] if index < len(written) else texts.composed(sentence_id)


def acted(settings: SyntheticSettings) -> list[tuple[str, int]]:
    """Pairs of emotion and level, ordered so that any few in a row differ in emotion."""
    return [(emotion, level) for level in LEVELS for emotion in settings.emotions if emotion != "neutral" or level == 1]


def subject_clips(subject: str, settings: SyntheticSettings) -> list[PlanClip]:
    """The clips of one subject, in the archive's order.

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
    pairs = acted(settings)
    counts: dict[tuple[str, int], int] = {}
    clips = []
    for position, sentence_id in enumerate(ids):
        # Each subject starts elsewhere in the cycle, so a sentence is heard with several emotions.
        emotion, level = pairs[(position + 3 * index) % len(pairs)]
        number = counts[emotion, level] = counts.get((emotion, level), 0) + 1
        clips.append(PlanClip(subject, emotion, level, number, sentence_id, sentence_text(sentence_id, settings)))
    return sorted(clips, key=lambda clip: clip.clip)


def all_clips(settings: SyntheticSettings) -> list[PlanClip]:
    """The clips of all subjects, subject by subject."""
    return [clip for subject in subject_names(settings) for clip in subject_clips(subject, settings)]
