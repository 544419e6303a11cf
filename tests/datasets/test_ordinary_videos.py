"""A folder or table of ordinary videos as a data set: speakers, clip names, splits, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config
from tiny_tree import Tree

from occlufacediff.config.load import load_config
from occlufacediff.config.schema import Config
from occlufacediff.datasets.ordinary_videos import list_videos, listed_splits
from occlufacediff.errors import ConfigError
from occlufacediff.stages.manifest import read_spoken
from occlufacediff.stages.ordinary_videos import index_videos
from occlufacediff.workflow.inputs import check_splits, split_settings, subjects
from occlufacediff.workflow.shards import read_index

ROOT = Path(__file__).resolve().parents[2]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def config_of(source: Path, **split: object) -> Config:
    config = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    update_config(config, {"source": "videos", "videos": str(source), "split": {"rule": "speakers", **split}})
    return load_config(config)


def test_sub_folders_are_speakers(tmp_path: Path):
    touch(
        tmp_path, "ann/My talk (1).MP4", "ann/day 2/a.webm", "ann/notes.txt", "ann/.a.mp4", "bob/x.mkv", ".cache/b.mp4"
    )
    found = list_videos(str(tmp_path))
    assert {subject: [video.clip for video in videos] for subject, videos in found.items()} == {
        "ann": ["video/level_1/My_talk_1", "video/level_1/day_2_a"],
        "bob": ["video/level_1/x"],
    }
    assert found["ann"][0].path == str(tmp_path / "ann" / "My talk (1).MP4")


def test_names_that_cannot_be_used_become_rows(tmp_path: Path):
    touch(tmp_path, "ann/a.mov", "ann/a.mp4", "ann/\u4e09.mp4", "ann/{b}.mp4", "ann/c d.mp4", "ann/c_d.mp4")
    videos = list_videos(str(tmp_path))["ann"]
    index_videos(videos, tmp_path / "raw" / "ann" / "index.csv", tmp_path / "raw" / "ann" / "sentences.csv")
    rows = {row["clip"]: row for row in read_index(tmp_path / "raw" / "ann" / "index.csv")}
    assert {clip: row["reason"] for clip, row in rows.items()} == {
        "video/level_1/a": "",
        "a.mp4": "equal_name",
        "\u4e09": "odd_name",
        "{b}": "odd_name",
        "video/level_1/c_d": "",
        "c_d.mp4": "equal_name",
    }
    assert "a.mov" in rows["a.mp4"]["message"]
    assert rows["video/level_1/a"]["video"] == str(tmp_path / "ann" / "a.mov")


def test_a_table_names_speakers_sentences_and_splits(tmp_path: Path):
    touch(tmp_path, "one.mp4", "two.mp4", "deep/three.mp4")
    (tmp_path / "videos.csv").write_text(
        "video,subject,sentence_id,split\none.mp4,ann,s1,train\ntwo.mp4,ann,,\ndeep/three.mp4,bob,s2,test\n"
    )
    found = list_videos(str(tmp_path / "videos.csv"))
    assert [(video.clip, video.sentence_id) for video in found["ann"]] == [
        ("video/level_1/one", "s1"),
        ("video/level_1/two", ""),
    ]
    parts = listed_splits(found)
    assert parts is not None
    assert (parts["train"].subjects, parts["test"].subjects, parts["validation"].subjects) == (["ann"], ["bob"], [])
    index_videos(found["ann"], tmp_path / "ann" / "index.csv", tmp_path / "ann" / "sentences.csv")
    assert read_spoken(tmp_path / "ann" / "sentences.csv") == {("ann", "video/level_1/one"): ("s1", "")}
    settings = split_settings(config_of(tmp_path / "videos.csv"))
    assert settings.test.subjects == ["bob"]
    with pytest.raises(ConfigError, match=r"split.rule: got 'all_test', but the table"):
        split_settings(config_of(tmp_path / "videos.csv", rule="all_test"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("video,who\none.mp4,ann\n", "has no column 'subject'"),
        ("video,subject\nnone.mp4,ann\n", "line 2: there is no video .*none.mp4"),
        ("video,subject\none.mp4,Ann B\n", "line 2: got the subject 'Ann B', needs letters"),
        ("video,subject\none.mp4,ann\none.mp4,bob\n", "line 3: .*one.mp4 is listed in line 2 too"),
        ("video,subject,split\none.mp4,ann,dev\n", "line 2: got the split 'dev', needs train, validation, test"),
        ("video,subject\n", "has no video"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: str, words: str):
    touch(tmp_path, "one.mp4")
    (tmp_path / "videos.csv").write_text(rows)
    with pytest.raises(ConfigError, match=words):
        list_videos(str(tmp_path / "videos.csv"))


def test_a_speaker_in_two_splits_is_refused(tmp_path: Path):
    touch(tmp_path, "one.mp4", "two.mp4")
    (tmp_path / "videos.csv").write_text("video,subject,split\none.mp4,ann,train\ntwo.mp4,ann,test\n")
    with pytest.raises(ConfigError, match="the speaker ann is in the splits test and train"):
        listed_splits(list_videos(str(tmp_path / "videos.csv")))


def test_wrong_folders_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no folder or table"):
        list_videos(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="has no video"):
        list_videos(str(tmp_path))
    touch(tmp_path, "Ann B/one.mp4")
    with pytest.raises(ConfigError, match=r"the folder 'Ann B' .* cannot be a speaker's name"):
        list_videos(str(tmp_path))
    touch(tmp_path / "flat", "one.mp4")
    with pytest.raises(ConfigError, match=r"one\.mp4 lies in no speaker's folder"):
        list_videos(str(tmp_path / "flat"))


def test_speakers_are_divided_before_any_video_is_processed(tmp_path: Path):
    touch(tmp_path, *(f"s{number}/a.mp4" for number in range(5)))
    config = config_of(tmp_path)
    assert subjects(config) == [f"s{number}" for number in range(5)]
    check_splits(config, ("train", "validation", "test"))
    settings = split_settings(config)
    assert [len(getattr(settings, split).subjects) for split in ("train", "validation", "test")] == [3, 1, 1]
    with pytest.raises(ConfigError, match=r"split.validation: no subject is listed"):
        check_splits(config_of(tmp_path, train={"subjects": ["s1"]}), ("validation",))


@pytest.mark.slow
def test_the_workflow_plans_and_lists_videos(bare: Tree, tmp_path: Path):
    touch(tmp_path, "v/ann/a.mp4", "v/ann/b.mov", "v/bob/c.mp4", "v/eve/d d.mp4")
    options = ("--directory", str(tmp_path), "--config", "source=videos", f"videos={tmp_path / 'v'}", "dataset=own")
    options += ("split={rule: speakers}",)
    jobs = bare.plan(*options)
    assert jobs["index_videos"] == jobs["fit_coefficients"] == 3
    assert "unpack_subject" not in jobs and "synthesise_subject" not in jobs
    result = bare.run(*options, "--", "acquire")
    assert result.returncode == 0, result.stdout[-3000:]
    rows = read_index(tmp_path / "results" / "own" / "raw" / "ann" / "index.csv")
    assert [row["clip"] for row in rows] == ["video/level_1/a", "video/level_1/b"]
    touch(tmp_path, "v/ann/new.mp4")
    assert bare.plan(*options, "--", "acquire") == {"acquire": 1, "index_videos": 1}
