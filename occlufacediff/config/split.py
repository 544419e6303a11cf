"""Settings of the splits: subjects and sentences of training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from occlufacediff.config.constraints import Section

#: MEAD's published split: subjects by name, sentences by the number of the SPOKEN sentence.
MEAD_TRAIN_SUBJECTS = (
    "M011", "M012", "M013", "M019", "M022", "M023", "M024", "M025", "M026", "M027", "M028", "M029",
    "M030", "M031", "M033", "M034", "M037", "M039", "M040", "M041", "W009", "W014", "W015", "W016",
    "W018", "W019", "W023", "W024", "W025", "W026", "W028", "W029", "W033", "W035", "W036", "W037",
    "W038", "W040",
)  # fmt: skip
MEAD_TEST_SUBJECTS = ("M003", "M005", "M007", "M009", "W011")
MEAD_TEST_SENTENCES_BELOW = 10

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitPart(Section):
    """Subjects and sentences of one split."""

    #: Subject names.
    subjects: list[str] = field(default_factory=list)
    #: Sentence ids: the text in ``sentences.csv``, or the file number if there is no such table.
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SplitSettings(Section):
    """Assignment of clips to splits; a clip whose subject and sentence are in different splits is ``unused``."""

    #: ``lists``: the lists below; ``mead``: MEAD's published split; ``all_test``: every clip is a test clip;
    #: ``all_train``: every clip is a training clip.
    rule: Literal["lists", "mead", "all_test", "all_train"] = "lists"
    #: Training clips (rule ``lists``).
    train: SplitPart = field(default_factory=SplitPart)
    #: Validation clips (rule ``lists``); with rule ``mead``: subjects and sentences moved from training to validation,
    #: because the published split has no validation part.
    validation: SplitPart = field(default_factory=SplitPart)
    #: Test clips (rule ``lists``).
    test: SplitPart = field(default_factory=SplitPart)
    #: CSV table ``subject,clip,sentence_id`` (clip: ``happy/level_2/003``) of the SPOKEN sentences, for clips whose
    #: file number differs from it (MEAD's M003). It overrides the ``sentences.csv`` next to a subject's archives, which
    #: has the same columns except ``subject``; null: no table.
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
        if self.rule != "lists" and listed - ({"validation"} if self.rule == "mead" else set()):
            raise ValueError(f"rule: got {self.rule!r} together with lists for {sorted(listed)}, needs 'lists'")
