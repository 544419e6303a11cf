"""Sentence identities by MEAD's table of transcripts, and the splits that follow from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import transcript_table as stand_in
from click.testing import CliRunner

from occlufacediff.cli import main
from occlufacediff.config.split import MEAD_TEST_SUBJECTS, MEAD_TRAIN_SUBJECTS, SplitPart, SplitSettings
from occlufacediff.datasets.splits import drawn_splits, split_of, with_drawn_splits
from occlufacediff.datasets.transcripts import read_transcripts, sentence_of
from occlufacediff.errors import AssetError, ConfigError

PUBLISHED = SplitSettings(rule="mead", validation_is_test=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transcripts") / "list_full_mead_annotated.txt"
    stand_in.write_transcripts(path)
    return path


def test_the_published_lists(table: Path):
    spoken = read_transcripts(table, normalise_apostrophes=False)
    assert len(spoken) == stand_in.LINES
    assert len({subject for subject, _ in spoken}) == 47
    assert {int(sentence.id) for sentence in spoken.values()} == set(range(stand_in.SENTENCES))
    for number in range(10):
        assert spoken["M003", f"contempt/level_2/{number + 1:03d}"].id == str(number)
    split = {key: split_of(key[0], sentence.id, PUBLISHED)[0] for key, sentence in spoken.items()}
    assert Counter(split.values()) == {"train": 21_627, "test": 424, "unused": 9_009}
    test = [(subject, *clip.split("/")[:2]) for (subject, clip), part in split.items() if part == "test"]
    assert Counter(subject for subject, _, _ in test) == stand_in.TEST_SUBJECTS
    assert Counter(emotion for _, emotion, _ in test) == stand_in.TEST_EMOTIONS
    assert Counter(level for _, _, level in test) == stand_in.TEST_LEVELS
    assert {subject for (subject, _), part in split.items() if part == "train"} == set(MEAD_TRAIN_SUBJECTS)
    used = {subject for (subject, _), part in split.items() if part != "unused"}
    assert {subject for subject, _ in spoken} - used == set(stand_in.UNUSED_SUBJECTS)


def test_normalised_apostrophes_give_m007_its_three_sentences(table: Path):
    written = read_transcripts(table, normalise_apostrophes=False)
    joined = read_transcripts(table, normalise_apostrophes=True)
    assert len({sentence.id for sentence in joined.values()}) == stand_in.SENTENCES - 3
    clips = {name: Counter() for name in ("written", "joined")}
    for name, spoken in (("written", written), ("joined", joined)):
        clips[name].update(key[0] for key, said in spoken.items() if split_of(key[0], said.id, PUBLISHED)[0] == "test")
    assert clips["joined"] - clips["written"] == {"M007": stand_in.CURLY_CLIPS}
    moved = [key for key in joined if key[0] == "M007" and written[key].id in ("144", "145", "146")]
    assert {joined[key].id for key in moved} == {"0", "1", "2"}


def test_the_default_validation_is_apart_from_training_and_test(table: Path):
    spoken = read_transcripts(table, normalise_apostrophes=True)
    parts: dict[str, set[tuple[str, str]]] = {}
    for (subject, _), sentence in spoken.items():
        parts.setdefault(split_of(subject, sentence.id, SplitSettings(rule="mead"))[0], set()).add(
            (subject, sentence.id)
        )
    for column in (0, 1):
        values = [{pair[column] for pair in parts[split]} for split in ("train", "validation", "test")]
        assert not values[0] & values[1] and not values[0] & values[2] and not values[1] & values[2]
    assert {subject for subject, _ in parts["validation"]} == {"M040", "W040"}
    assert {int(sentence) % 10 for _, sentence in parts["validation"]} == {0}
    # The test split is the published one, and the training split loses no more than a sixth.
    assert {subject for subject, _ in parts["test"]} == set(MEAD_TEST_SUBJECTS)
    published = {
        (subject, s.id) for (subject, _), s in spoken.items() if split_of(subject, s.id, PUBLISHED)[0] == "train"
    }
    assert len(parts["train"]) > len(published) * 5 / 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M003_level_2_contempt_001 One\nM003 level 2 Two\n", "line 2: got 'M003 level 2 Two', needs subject_level_n"),
        ("M003_level_2_contempt_001\n", "line 1: got 'M003_level_2_contempt_001'"),
        (
            "M003_level_2_contempt_001 One\n\nM003_level_2_contempt_001 Two\n",
            "line 3: gives M003/contempt/level_2/001 another transcript than line 1",
        ),
        ("\n", "has no lines"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, words: str):
    path = tmp_path / "table.txt"
    path.write_text(text)
    with pytest.raises(AssetError, match=words):
        read_transcripts(path, normalise_apostrophes=True)


def test_the_rank_of_the_exact_transcript(tmp_path: Path):
    path = tmp_path / "table.txt"
    lines = ["M003_level_1_sad_001 Don't go.", "M003_level_1_sad_002 Don\u2019t go.", "W009_level_3_fear_1 don't go."]
    path.write_bytes("\r\n".join([*lines, "W009_level_3_fear_002 Don't go. "]).encode())
    spoken = read_transcripts(path, normalise_apostrophes=False)
    assert [sentence.id for sentence in spoken.values()] == ["0", "1", "2", "0"]
    assert sentence_of(spoken, "W009", "fear/level_3/001") == spoken["W009", "fear/level_3/001"]
    assert sentence_of(spoken, "W009", "fear/level_3/009") is None
    assert [one.id for one in read_transcripts(path, normalise_apostrophes=True).values()] == ["0", "0", "1", "0"]


def test_the_command_counts_the_splits(table: Path):
    result = CliRunner().invoke(main, ["splits", str(table), "--as-written", "--validation-is-test"])
    assert result.exit_code == 0, result.output
    assert "31060 clips, 47 subjects, 165 sentences" in result.output
    assert "train: 21627 clips, 38 subjects" in result.output
    assert "test: 424 clips, 5 subjects, 10 sentences" in result.output
    assert "levels: level_1 154, level_2 135, level_3 135" in result.output
    assert "validation" not in result.output
    assert "validation: " in CliRunner().invoke(main, ["splits", str(table)]).output


def test_speakers_are_drawn_by_name_and_seed():
    names = [f"S{number}" for number in range(20)]
    settings = SplitSettings(rule="speakers")
    drawn = with_drawn_splits(settings, names, 1)
    sizes = {split: len(getattr(drawn, split).subjects) for split in ("train", "validation", "test")}
    assert sizes == {"train": 14, "validation": 3, "test": 3}
    assert with_drawn_splits(settings, names[::-1], 1) == drawn
    assert with_drawn_splits(settings, names, 2) != drawn
    assert {split_of(name, "", drawn)[0] for name in names} == {"train", "validation", "test"}
    assert split_of("other", "", drawn) == ("unused", "no_split", "subject other belongs to no split")
    listed = SplitSettings(rule="speakers", train=SplitPart(["S1"]), test=SplitPart(["S2"]))
    assert with_drawn_splits(listed, names, 1) is listed
    assert split_of("S1", "any sentence", listed)[0] == "train"
    few = drawn_splits(["A", "B", "C"], settings.fractions, 1)
    assert sorted(part.subjects for part in few.values()) == [["A"], ["B"], ["C"]]
    with pytest.raises(ConfigError, match="2 speakers cannot be divided into train, validation, test"):
        drawn_splits(["A", "B"], settings.fractions, 1)
