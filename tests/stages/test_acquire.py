"""Unpacking a subject's archives."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from preprocessed import Shard

from occlufacediff.media.archives import write_tar
from occlufacediff.stages.acquire import unpack_subject
from occlufacediff.storage import StorageError
from occlufacediff.workflow.shards import read_index


def test_index_and_files(shard: Shard) -> None:
    rows = {row["clip"]: row for row in read_index(shard.raw_index)}
    assert list(rows) == sorted(rows)
    assert len(rows) == 10
    assert rows["happy/level_1/001"]["video"] == "video/happy/level_1/001.mp4"
    assert rows["happy/level_1/001"]["audio"] == "audio/happy/level_1/001.m4a"
    assert rows["happy/level_2/003"]["audio"] == ""
    assert (rows["fear/level_1/009"]["status"], rows["fear/level_1/009"]["reason"]) == ("failed", "no_video")
    for row in rows.values():
        assert not row["video"] or (shard.raw / row["video"]).is_file()


def made(folder: Path, *names: str) -> Path:
    (folder / "x").write_bytes(b"x" * 2000)
    write_tar(folder / "video.tar", [(name, folder / "x") for name in names])
    return folder / "video.tar"


def sounds(folder: Path) -> Path:
    """A good archive of sounds, without a clip's."""
    (folder / "y").touch()
    write_tar(folder / "audio.tar", [("audio/readme.txt", folder / "y")])
    return folder / "audio.tar"


def test_faulty_layouts_of_known_subjects(tmp_path: Path) -> None:
    video = made(
        tmp_path,
        "video/1/front/sad/level_1/002.mp4",
        "video/1/front/sad/level_1/._002.mp4",
        "video/1/down/sad/level_1/001.mp4",
    )
    raw = tmp_path / "raw"
    (raw / "video").mkdir(parents=True)
    (raw / "video/stale.mp4").write_bytes(b"old")
    unpack_subject("W021", video, None, raw, raw / "index.csv", view="front")
    assert [row["clip"] for row in read_index(raw / "index.csv")] == ["(archive)", "sad/level_1/002"]
    assert sorted(path.name for path in raw.rglob("*") if path.is_file()) == ["002.mp4", "index.csv"]


def test_no_clip_of_the_view_is_a_row(tmp_path: Path) -> None:
    video = made(tmp_path, "video/down/sad/level_1/002.mp4", "video/top/sad/level_1/002.mp4")
    unpack_subject("W017", video, None, tmp_path / "raw", tmp_path / "raw/index.csv", view="front")
    row, sounds = read_index(tmp_path / "raw/index.csv")
    assert (row["clip"], row["status"], row["reason"]) == ("(archive)", "failed", "no_view")
    assert (sounds["clip"], sounds["reason"]) == ("(archive)", "no_archive")
    assert "down, top" in row["message"] and "acquire.view" in row["message"]


def test_odd_names_are_rows(tmp_path: Path) -> None:
    names = (
        "sad/level_1/2 (copy)",
        'sad/level_1/"3"',
        "sad/level_1/-4",
        "sad/Level 1/005",
        "\u00e9mu/level_1/006",
        "007",
    )
    video = made(tmp_path, "video/front/sad/level_1/001.mp4", *(f"video/front/{name}.mp4" for name in names))
    unpack_subject("M009", video, None, tmp_path / "raw", tmp_path / "raw/index.csv", view="front")
    rows = {row["clip"]: row for row in read_index(tmp_path / "raw/index.csv")}
    assert {clip for clip, row in rows.items() if row["reason"] == "odd_name"} == set(names)
    assert rows["sad/level_1/001"]["status"] == "ok"
    assert len([path for path in (tmp_path / "raw/video").rglob("*") if path.is_file()]) == 1


def test_a_corrupt_archive_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    video = made(tmp_path, "video/front/sad/level_1/001.mp4", "video/front/sad/level_1/002.mp4")
    video.write_bytes(video.read_bytes()[:4000])
    unpack_subject("M019", video, sounds(tmp_path), tmp_path / "raw", tmp_path / "raw/index.csv", view="front")
    rows = {row["clip"]: row for row in read_index(tmp_path / "raw/index.csv")}
    assert rows["(archive)"]["reason"] == "broken_archive"
    assert rows["sad/level_1/001"]["status"] == "ok"
    assert "sad/level_1/002" not in rows


def test_a_damaged_header_loses_its_clip_alone(tmp_path: Path) -> None:
    video = made(tmp_path, *(f"video/front/sad/level_1/00{number}.mp4" for number in (1, 2, 3)))
    content = bytearray(video.read_bytes())
    start = content.index(b"video/front/sad/level_1/002.mp4")
    content[start : start + 512] = b"\xa5" * 512
    video.write_bytes(content)
    unpack_subject("M019", video, sounds(tmp_path), tmp_path / "raw", tmp_path / "raw/index.csv", view="front")
    rows = {row["clip"]: row for row in read_index(tmp_path / "raw/index.csv")}
    assert {clip for clip, row in rows.items() if row["status"] == "ok"} == {"sad/level_1/001", "sad/level_1/003"}
    message = rows["(archive)"]["message"]
    assert "001.mp4 and video/front/sad/level_1/003.mp4" in message


def test_what_a_subject_does_not_have_is_a_row(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    unpack_subject("M005", None, None, raw, raw / "index.csv", view="front")
    rows = read_index(raw / "index.csv")
    assert [(row["clip"], row["status"], row["reason"]) for row in rows] == [("(archive)", "failed", "no_archive")] * 2
    assert "M005 has no video.tar" in rows[0]["message"] and "M005 has no audio.tar" in rows[1]["message"]


@pytest.mark.parametrize("name", ["/evil.mp4", "video/front/../../evil.mp4"])
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_hostile_archive_is_a_row_and_nothing_of_it_is_used(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "x").write_bytes(b"x" * 2000)
    archives = {"video": tmp_path / "video.tar", "audio": tmp_path / "audio.tar"}
    write_tar(archives["video"], [("video/front/sad/level_1/001.mp4", tmp_path / "x")])
    write_tar(archives["audio"], [("audio/sad/level_1/001.m4a", tmp_path / "x")])
    with tarfile.open(archives[kind], "a", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    raw = tmp_path / "deep" / "raw"
    unpack_subject("X", archives["video"], archives["audio"], raw, raw / "index.csv", view="front")
    about, clip = read_index(raw / "index.csv")
    assert (about["clip"], about["reason"]) == ("(archive)", "unsafe_archive")
    assert str(archives[kind]) in about["message"] and repr(name) in about["message"]
    assert (clip["clip"], clip["reason"]) == ("sad/level_1/001", "no_video" if kind == "video" else "")
    files = sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())
    other = {"video": "audio/sad/level_1/001.m4a", "audio": "video/sad/level_1/001.mp4"}[kind]
    assert files == sorted([other, "index.csv"])
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_that_vanishes_is_no_fault_of_the_data(tmp_path: Path) -> None:
    raw = tmp_path / "deep" / "raw"
    for archives in (
        (tmp_path / "none.tar", None),
        (made(tmp_path, "video/front/a/level_1/1.mp4"), tmp_path / "no.tar"),
    ):
        with pytest.raises(StorageError, match=r"no(ne)?\.tar: .*bring it back"):
            unpack_subject("X", *archives, raw, raw / "index.csv", view="front")
    assert list((tmp_path / "deep").iterdir()) == []
