"""Settings of the splits: subjects and sentences of training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from occlufacediff.config.constraints import Fraction, Section

#: MEAD's published split: subjects by name, sentences by the number of the SPOKEN sentence.
MEAD_TRAIN_SUBJECTS = (
    "M011", "M012", "M013", "M019", "M022", "M023", "M024", "M025", "M026", "M027", "M028", "M029",
    "M030", "M031", "M033", "M034", "M037", "M039", "M040", "M041", "W009", "W014", "W015", "W016",
    "W018", "W019", "W023", "W024", "W025", "W026", "W028", "W029", "W033", "W035", "W036", "W037",
    "W038", "W040",
)  # fmt: skip
MEAD_TEST_SUBJECTS = ("M003", "M005", "M007", "M009", "W011")
MEAD_TEST_SENTENCES_BELOW = 10
#: Default validation part of the rule ``mead``: one man and one woman of the published training subjects, and every
#: tenth sentence of the published training sentences (10, 20, 30, ...).
MEAD_VALIDATION_SUBJECTS = ("M040", "W040")
MEAD_VALIDATION_EVERY = 10

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitPart(Section):
    """Subjects and sentences of one split."""

    #: Subject names.
    subjects: list[str] = field(default_factory=list)
    #: Sentence ids: the text in ``sentences.csv``, or the file number if there is no such table.
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SplitFractions(Section):
    """Fractions of the speakers in each split (rule ``speakers`` without lists); their sum is 1."""

    #: Training speakers.
    train: Fraction = 0.7
    #: Validation speakers.
    validation: Fraction = 0.15
    #: Test speakers.
    test: Fraction = 0.15

    def __post_init__(self) -> None:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train: got fractions with the sum {total:g}, needs the sum 1")


@dataclass(frozen=True)
class SplitSettings(Section):
    """Assignment of clips to splits; a clip whose subject and sentence are in different splits is ``unused``."""

    #: ``lists``: the lists below; ``mead``: MEAD's published split, with a validation part; ``speakers``: by speaker
    #: alone, from the lists of subjects below, or drawn by ``fractions`` if no subject is listed; ``all_test``: every
    #: clip is a test clip; ``all_train``: every clip is a training clip.
    rule: Literal["lists", "mead", "speakers", "all_test", "all_train"] = "lists"
    #: Training clips (rules ``lists`` and ``speakers``).
    train: SplitPart = field(default_factory=SplitPart)
    #: Validation clips (rules ``lists`` and ``speakers``); with rule ``mead``: subjects and sentences moved from
    #: training to validation, in place of the default (M040 and W040, sentences 10, 20, 30, ...).
    validation: SplitPart = field(default_factory=SplitPart)
    #: Test clips (rules ``lists`` and ``speakers``).
    test: SplitPart = field(default_factory=SplitPart)
    #: Validate on the test clips, as the published training does; no clip is moved from training to validation then.
    #: The choice of a checkpoint then depends on the test clips.
    validation_is_test: bool = False
    fractions: SplitFractions = field(default_factory=SplitFractions)
    #: Table of spoken sentences with lines ``subject_level_n_emotion_number TRANSCRIPT``. A clip's sentence id is then
    #: the rank of its transcript by first appearance in the file; null: the clip's number.
    transcripts: str | None = None
    #: Whether transcripts that differ only in typographic and straight apostrophes are one sentence. The published
    #: lists treat them as different.
    normalise_apostrophes: bool = True
    #: CSV table ``subject,clip,sentence_id`` (clip: ``happy/level_2/003``) of the SPOKEN sentences. It overrides
    #: ``transcripts`` and the ``sentences.csv`` next to a subject's archives, which has the same columns except
    #: ``subject``; null: no table.
    sentence_table: str | None = None

    def __post_init__(self) -> None:
        for kind in ("subjects", "sentences"):
            seen: dict[str, str] = {}
            for split in SPLITS:
                for name in getattr(getattr(self, split), kind):
                    if name in seen:
                        raise ValueError(
                            f"{split}.{kind}: got {name!r}, which is in {seen[name]}.{kind} too; needs disjoint splits"
                        )
                    seen[name] = split
        listed = {split for split in SPLITS if getattr(self, split) != SplitPart()}
        allowed = {"lists": set(SPLITS), "speakers": set(SPLITS), "mead": {"validation"}}.get(self.rule, set())
        if listed - allowed:
            raise ValueError(f"rule: got {self.rule!r} together with lists for {sorted(listed)}, needs 'lists'")
        with_sentences = [split for split in SPLITS if getattr(self, split).sentences]
        if self.rule == "speakers" and with_sentences:
            raise ValueError(
                f"{with_sentences[0]}.sentences: got a list, needs none: the rule 'speakers' divides by speaker alone"
            )
        if self.validation_is_test and "validation" in listed:
            raise ValueError("validation_is_test: got true together with a list in validation, needs one of the two")
