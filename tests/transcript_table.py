"""A stand-in for MEAD's table of transcripts: invented sentences, with the real table's layout and published counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from occlufacediff.config.split import MEAD_TEST_SUBJECTS, MEAD_TRAIN_SUBJECTS

#: Subjects that the published lists do not use.
UNUSED_SUBJECTS = ("M032", "M035", "M042", "W021")
LINES, SENTENCES, TRAIN, TEST = 31_060, 165, 21_627, 424
TEST_SUBJECTS = {"M003": 93, "M005": 90, "M007": 58, "M009": 90, "W011": 93}
TEST_EMOTIONS = {
    "contempt": 141, "sad": 57, "happy": 51, "angry": 42, "surprised": 42, "fear": 39, "disgusted": 38, "neutral": 14,
}  # fmt: skip
TEST_LEVELS = {"level_1": 154, "level_2": 135, "level_3": 135}
#: Test clips of M007 whose sentences are typed with another apostrophe, and the numbers of these sentences.
CURLY_CLIPS, CURLY = 32, (144, 145, 146)


def sentence(number: int) -> str:
    """An invented sentence; 144 to 146 are the first three with a typographic apostrophe."""
    if number in CURLY:
        return sentence(number - CURLY[0]).replace("'", "\u2019")
    return f"It's sentence {number} of the stand-in."


def write_transcripts(path: Path) -> None:
    """Write the stand-in table."""
    numbers: Counter[tuple[str, str, str]] = Counter()
    lines = []
    for subject, emotion, level, said in _clips():
        numbers[subject, emotion, level] += 1
        number = numbers[subject, emotion, level]
        lines.append(f"{subject}_{level}_{emotion}_{number:03d} {sentence(said)}\n")
    path.write_text("".join(lines), encoding="utf-8")


def _clips() -> Iterator[tuple[str, str, str, int]]:
    """Subject, emotion, level and sentence of all clips; sentences first appear in the order of their number."""
    subjects, emotions, levels = (Counter(counts) for counts in (TEST_SUBJECTS, TEST_EMOTIONS, TEST_LEVELS))
    for number in range(10):
        yield "M003", "contempt", "level_2", number
    subjects["M003"] -= 10
    emotions["contempt"] -= 10
    levels["level_2"] -= 10
    others = [number for number in range(10, SENTENCES) if number not in CURLY]
    for number in range(10, CURLY[0]):
        yield MEAD_TRAIN_SUBJECTS[0], "happy", "level_1", number
    for number in islice(cycle(CURLY), CURLY_CLIPS):
        yield "M007", "angry", "level_3", number
    # Neutral clips have level 1 only.
    levels["level_1"] -= emotions["neutral"]
    paired = [("neutral", "level_1")] * emotions.pop("neutral")
    paired += zip(emotions.elements(), levels.elements(), strict=True)
    for place, (subject, (emotion, level)) in enumerate(zip(subjects.elements(), paired, strict=True)):
        # M007 speaks the sentences 0 to 2 too, but they are typed with another apostrophe.
        yield subject, emotion, level, 3 + place % 7 if subject == "M007" else place % 10
    first = CURLY[0] - 10
    yield from _filled(MEAD_TRAIN_SUBJECTS, others[first:] + others[:first], TRAIN - first)
    yield from _filled(MEAD_TRAIN_SUBJECTS, list(range(10)), 3569)
    yield from _filled(UNUSED_SUBJECTS, list(range(SENTENCES - 30)), 2640)
    yield from _filled(MEAD_TEST_SUBJECTS, others, LINES - TRAIN - TEST - CURLY_CLIPS - 3569 - 2640)


def _filled(subjects: tuple[str, ...], sentences: list[int], count: int) -> Iterator[tuple[str, str, str, int]]:
    """``count`` clips that use all subjects, emotions and sentences alike."""
    emotions = [(emotion, level) for emotion in TEST_EMOTIONS if emotion != "neutral" for level in TEST_LEVELS]
    for place, (said, (emotion, level)) in enumerate(
        islice(zip(cycle(sentences), cycle(emotions), strict=False), count)
    ):
        # The shift after each round of sentences gives all sentences to all subjects.
        yield subjects[(place + place // len(sentences)) % len(subjects)], emotion, level, said
