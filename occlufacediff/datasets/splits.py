"""The split of a clip, by its subject and the identity of its sentence. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

from occlufacediff.config.split import (
    MEAD_TEST_SENTENCES_BELOW,
    MEAD_TEST_SUBJECTS,
    MEAD_TRAIN_SUBJECTS,
    MEAD_VALIDATION_EVERY,
    MEAD_VALIDATION_SUBJECTS,
    SPLITS,
    SplitFractions,
    SplitPart,
    SplitSettings,
)
from occlufacediff.errors import ConfigError

UNUSED = "unused"
#: Column of a manifest: ``yes`` for clips that belong to the validation split too (``split.validation_is_test``).
ALSO_VALIDATION = "also_validation"


def split_of(subject: str, sentence: str, settings: SplitSettings) -> tuple[str, str, str]:
    """Split, reason and message of a usable clip; the reason is empty unless the split is `UNUSED`.

    Args:
        subject: name of its subject.
        sentence: identity of its sentence; empty if it is not known.
        settings: subjects and sentences of each split.
    """
    if settings.rule in ("all_test", "all_train"):
        return settings.rule.removeprefix("all_"), "", ""
    of_subject = split_of_subject(subject, settings)
    of_sentence = of_subject if settings.rule == "speakers" else split_of_sentence(sentence, settings)
    if not of_subject or not of_sentence:
        missing = f"subject {subject}" if not of_subject else f"sentence {sentence}"
        return UNUSED, "no_split", f"{missing} belongs to no split"
    if of_subject != of_sentence:
        return UNUSED, "other_split", f"subject {subject} is of {of_subject}, sentence {sentence} of {of_sentence}"
    return of_subject, "", ""


def split_of_subject(subject: str, settings: SplitSettings) -> str:
    """Split of a subject; empty if it has none."""
    for split in SPLITS:
        if subject in getattr(settings, split).subjects:
            return split
    if settings.rule != "mead":
        return ""
    if _default_validation(settings) and subject in MEAD_VALIDATION_SUBJECTS:
        return "validation"
    return "train" if subject in MEAD_TRAIN_SUBJECTS else "test" if subject in MEAD_TEST_SUBJECTS else ""


def split_of_sentence(sentence: str, settings: SplitSettings) -> str:
    """Split of a sentence; empty if it has none."""
    for split in SPLITS:
        if sentence in getattr(settings, split).sentences:
            return split
    if settings.rule != "mead" or not sentence.isdecimal():
        return ""
    if int(sentence) < MEAD_TEST_SENTENCES_BELOW:
        return "test"
    return "validation" if _default_validation(settings) and int(sentence) % MEAD_VALIDATION_EVERY == 0 else "train"


def subjects_of(split: str, settings: SplitSettings) -> set[str]:
    """Subjects of a split, as far as the settings determine them; the rules ``all_...`` name none."""
    named = {name for part in SPLITS for name in getattr(settings, part).subjects}
    if settings.rule == "mead":
        named |= {*MEAD_TRAIN_SUBJECTS, *MEAD_TEST_SUBJECTS}
    return {name for name in named if split_of_subject(name, settings) == split}


def drawn_splits(subjects: Collection[str], fractions: SplitFractions, seed: int) -> dict[str, SplitPart]:
    """Divide speakers by fractions: a part with a fraction above 0 has at least one speaker.

    The draw depends on the names and the seed, not on the order of the names.

    Raises:
        ConfigError: there are fewer speakers than parts.
    """
    parts = [split for split in SPLITS if getattr(fractions, split) > 0]
    if len(subjects) < len(parts):
        raise ConfigError(
            f"Configuration, split.fractions: {len(subjects)} speakers cannot be divided into {', '.join(parts)}; add "
            "speakers, or set fractions to 0."
        )
    order = sorted(subjects, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    counts = {split: max(1, round(getattr(fractions, split) * len(order))) for split in parts}
    # Rounding may give too many or too few speakers; the largest part takes the difference.
    largest = max(parts, key=lambda split: counts[split])
    counts[largest] += len(order) - sum(counts.values())
    chosen: dict[str, SplitPart] = {split: SplitPart() for split in SPLITS}
    for split in parts:
        chosen[split] = SplitPart(sorted(order[: counts[split]]))
        order = order[counts[split] :]
    return chosen


def with_drawn_splits(settings: SplitSettings, subjects: Collection[str], seed: int) -> SplitSettings:
    """The settings with lists of speakers, which `drawn_splits` gives if the rule is ``speakers`` without lists."""
    if settings.rule != "speakers" or any(getattr(settings, split).subjects for split in SPLITS):
        return settings
    drawn = drawn_splits(subjects, settings.fractions, seed)
    return replace(settings, train=drawn["train"], validation=drawn["validation"], test=drawn["test"])


def _default_validation(settings: SplitSettings) -> bool:
    """Whether the rule ``mead`` has its default validation part."""
    return settings.rule == "mead" and settings.validation == SplitPart() and not settings.validation_is_test
