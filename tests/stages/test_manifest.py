"""The manifest: earliest failure, splits by subject and sentence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from preprocessed import Shard

from occlufacediff.config.split import SplitPart, SplitSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.stages.manifest import build_manifest
from occlufacediff.workflow.shards import write_index


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_real_indices_with_every_fault(shard: Shard, tmp_path: Path) -> None:
    indices = {
        "raw": [shard.raw_index],
        "video": [shard.video_index],
        "audio": [shard.audio_index],
        "landmarks": [shard.landmarks_index],
        "clips": [shard.clips_index],
    }
    build_manifest(indices, [], tmp_path / "manifest.csv", settings=SplitSettings(rule="all_test"))
    table = read(tmp_path / "manifest.csv").set_index("clip")
    assert dict(zip(table.index, table["reason"], strict=True)) == {
        "fear/level_1/009": "no_video",
        "happy/level_1/001": "",
        "happy/level_1/002": "",
        "happy/level_2/003": "",
        "sad/level_1/001": "no_face",
        "sad/level_1/002": "too_short",
        "sad/level_1/003": "broken_video",
        "sad/level_1/004": "broken_video",
        "sad/level_2/005": "no_audio",
        "sad/level_2/006": "audio_mismatch",
    }
    assert set(table["subject"]) == {"S1"}
    good = table.loc["happy/level_1/001"]
    assert (good["split"], good["frames"], good["status"], good["sentence"], good["sentence_id"]) == (
        "test",
        "27",
        "ok",
        "001",
        "1",
    )
    assert table.loc["sad/level_1/001"]["stage"] == "landmarks"
    assert (table["split"] == "test").sum() == 3


def made(folder: Path, subject: str, *clips: str) -> Path:
    path = folder / "clips" / f"{subject}.csv"
    write_index(
        path, [{"clip": clip, "status": "ok", "reason": "", "message": "", "frames": 70} for clip in clips], ["frames"]
    )
    return path


def spoken(folder: Path, subject: str, **sentences: str) -> Path:
    path = folder / subject / "sentences.csv"
    path.parent.mkdir(parents=True)
    lines = [f"sad/level_1/{number[1:]},{name},words of {name}" for number, name in sentences.items()]
    path.write_text("\n".join(["clip,sentence_id,text", *lines]) + "\n")
    return path


def test_lists_split_by_subject_and_sentence(tmp_path: Path) -> None:
    clips = ("sad/level_1/001", "sad/level_1/002", "sad/level_1/003")
    indices = {"clips": [made(tmp_path, name, *clips) for name in ("A", "B", "C")]}
    tables = [spoken(tmp_path, name, _001="one", _002="two", _003="three") for name in ("A", "B", "C")]
    settings = SplitSettings(
        train=SplitPart(["A"], ["one"]), validation=SplitPart([], []), test=SplitPart(["B"], ["two"])
    )
    build_manifest(indices, tables, tmp_path / "m.csv", settings=settings)
    table = read(tmp_path / "m.csv")
    assert table["split"].tolist() == ["train", "unused", "unused", "unused", "test", "unused"] + ["unused"] * 3
    assert table["reason"].tolist() == ["", "other_split", "no_split", "other_split", "", "no_split"] + ["no_split"] * 3
    assert table["text"][0] == "words of one"
    assert (table["status"] == "ok").all()


def test_meads_published_split_with_validation_taken_out(tmp_path: Path) -> None:
    clips = ("sad/level_1/009", "sad/level_1/010", "sad/level_1/011")
    indices = {"clips": [made(tmp_path, name, *clips) for name in ("M003", "M011", "M012", "W021")]}
    published = SplitSettings(rule="mead", validation_is_test=True)
    build_manifest(indices, [], tmp_path / "m.csv", settings=published)
    table = read(tmp_path / "m.csv")
    assert table["split"].tolist() == (["test", "unused", "unused"] + ["unused", "train", "train"] * 2 + ["unused"] * 3)
    assert table["also_validation"].tolist() == ["yes"] + ["no"] * 11
    settings = SplitSettings(rule="mead", validation=SplitPart(["M012"], ["11"]))
    build_manifest(indices, [], tmp_path / "m.csv", settings=settings)
    table = read(tmp_path / "m.csv").set_index(["subject", "clip"])["split"]
    assert table["M011"].tolist() == ["unused", "train", "unused"]
    assert table["M012"].tolist() == ["unused", "unused", "validation"]


def test_meads_default_validation(tmp_path: Path) -> None:
    clips = ("sad/level_1/009", "sad/level_1/010", "sad/level_1/011")
    indices = {"clips": [made(tmp_path, name, *clips) for name in ("M003", "M012", "W040")]}
    build_manifest(indices, [], tmp_path / "m.csv", settings=SplitSettings(rule="mead"))
    table = read(tmp_path / "m.csv").set_index(["subject", "clip"])["split"]
    assert table["M003"].tolist() == ["test", "unused", "unused"]
    assert table["M012"].tolist() == ["unused", "unused", "train"]
    assert table["W040"].tolist() == ["unused", "validation", "unused"]


def test_sentences_follow_the_table_of_transcripts(tmp_path: Path) -> None:
    indices = {"clips": [made(tmp_path, name, *(f"sad/level_1/00{n}" for n in (1, 2, 3))) for name in ("M003", "M012")]}
    lines = [f"W009_level_1_sad_{number:03d} Sentence {number}" for number in range(12)]
    lines += ["M003_level_1_sad_001 Sentence 9", "M012_level_1_sad_001 Sentence 11", "M012_level_1_sad_002 Sentence 3"]
    (tmp_path / "table.txt").write_text("\n".join(lines))
    settings = SplitSettings(rule="mead", transcripts=str(tmp_path / "table.txt"))
    build_manifest(indices, [], tmp_path / "m.csv", settings=settings)
    table = read(tmp_path / "m.csv")
    assert table["sentence_id"].tolist() == ["9", "", "", "11", "3", ""]
    assert table["text"].tolist()[0] == "Sentence 9"
    assert table["split"].tolist() == ["test", "unused", "unused", "train", "unused", "unused"]
    assert table["reason"].tolist() == ["", "no_transcript", "no_transcript", "", "other_split", "no_transcript"]
    own = spoken(tmp_path, "M003", _002="4")
    build_manifest(indices, [own], tmp_path / "m.csv", settings=settings)
    assert read(tmp_path / "m.csv")["split"].tolist()[:3] == ["test", "test", "unused"]


def test_shifted_numbers_follow_the_sentence_spoken(tmp_path: Path) -> None:
    indices = {"clips": [made(tmp_path, "M003", "sad/level_1/010", "sad/level_1/011")]}
    table = spoken(tmp_path, "M003", _010="9", _011="10")
    build_manifest(indices, [table], tmp_path / "m.csv", settings=SplitSettings(rule="mead"))
    assert read(tmp_path / "m.csv")["split"].tolist() == ["test", "unused"]


def test_a_clip_that_a_later_stage_never_saw(tmp_path: Path) -> None:
    first = made(tmp_path, "A", "sad/level_1/001")
    second = tmp_path / "coefficients" / "A.csv"
    write_index(second, [])
    indices = {"clips": [first], "coefficients": [second]}
    build_manifest(indices, [], tmp_path / "m.csv", settings=SplitSettings(rule="all_train"))
    assert read(tmp_path / "m.csv")[["status", "reason", "stage"]].values.tolist() == [
        ["failed", "not_processed", "coefficients"]
    ]


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match=r"test\.subjects: got 'A'"):
        SplitSettings(train=SplitPart(["A"], ["1"]), test=SplitPart(["A"], ["2"]))
    with pytest.raises(ValueError, match="rule: got 'all_test'"):
        SplitSettings(rule="all_test", train=SplitPart(["A"], ["1"]))


def test_a_misspelt_subject_is_named(tmp_path: Path) -> None:
    indices = {"clips": [made(tmp_path, "M003", "sad/level_1/010")]}
    with pytest.raises(ConfigError, match=r"split\.train: .*\['M03'\].*\['M003'\]"):
        build_manifest(indices, [], tmp_path / "m.csv", settings=SplitSettings(train=SplitPart(["M03"], ["10"])))
    (tmp_path / "sentences.csv").write_text("a,b\n1,2\n")
    with pytest.raises(AssetError, match=r"sentences\.csv"):
        build_manifest(indices, [tmp_path / "sentences.csv"], tmp_path / "m.csv", settings=SplitSettings())
