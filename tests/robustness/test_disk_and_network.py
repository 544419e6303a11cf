"""What comes from elsewhere meets a disk that fills up, and mounts that go: one clear error, and no clip is blamed."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from machine_faults import small_disk

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / name) for name in ("acquire", "emote")]

from faulty_server import TOKEN, FaultyServer, Served, faulty_server  # noqa: E402
from stand_ins import write_landmarks  # noqa: E402

from occlufacediff.acquire.fetch import fetch_files  # noqa: E402
from occlufacediff.acquire.sources import Remote  # noqa: E402
from occlufacediff.config.acquire import DownloadSettings  # noqa: E402
from occlufacediff.config.emote import EmoteSettings  # noqa: E402
from occlufacediff.landmarks.emote_landmarks import LANDMARKS_FILE  # noqa: E402
from occlufacediff.media.archives import write_tar  # noqa: E402
from occlufacediff.media.encode import VideoWriter  # noqa: E402
from occlufacediff.stages import emote_landmarks  # noqa: E402
from occlufacediff.stages.acquire import unpack_subject  # noqa: E402
from occlufacediff.storage import StorageError  # noqa: E402
from occlufacediff.workflow.shards import read_index, write_index  # noqa: E402


def settings_for(server: FaultyServer, folder: Path) -> DownloadSettings:
    return DownloadSettings(service=server.service, checksums=str(folder / "checksums.csv"), first_wait_s=0.01)


def remote(server: FaultyServer, name: str) -> Remote:
    return Remote(f"M003/{name}.tar", f"files/{name}", f"{server.service}/files/{name}?alt=media", "token", ("mead",))


def test_a_disk_that_fills_up_in_a_transfer_keeps_what_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    with faulty_server() as server, small_disk(tmp_path / "disk", "1m") as disk:
        # The server does not say how long they are, so only writing can tell.
        for name in "ab":
            server.files[name] = Served(os.urandom(1_200_000), ["chunked"])
        wanted = {disk.folder / f"{name}.tar": remote(server, name) for name in "ab"}
        with pytest.raises(StorageError, match=r"disk/[ab]\.tar: .*the disk is full; free some space, then run again"):
            fetch_files(wanted, settings=settings_for(server, tmp_path))
        parts = [disk.folder / f".{name}.tar.part" for name in "ab"]
        kept = [part.stat().st_size if part.exists() else 0 for part in parts]
        assert sum(kept) > 900_000 and not list(disk.folder.glob("[ab].tar"))
        disk.set("size=4m")
        begun = len(server.asked)
        fetch_files(wanted, settings=settings_for(server, tmp_path))
        assert all(path.read_bytes() == server.files[path.stem].content for path in wanted)
        # Nothing that had reached the disk was asked for again.
        assert {asked.range for asked in server.asked[begun:]} == {f"bytes={size}-" if size else "" for size in kept}
        assert sorted(path.name for path in disk.folder.iterdir()) == ["a.tar", "b.tar"]


def test_a_limit_on_the_size_of_files_in_a_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with faulty_server() as server:
        server.files["a"] = Served(os.urandom(700_000))
        target = tmp_path / "a.tar"
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
        try:
            with pytest.raises(StorageError, match=r"a\.tar: .*limit on the size of files"):
                fetch_files({target: remote(server, "a")}, settings=settings_for(server, tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (tmp_path / ".a.tar.part").stat().st_size == 300_000
        fetch_files({target: remote(server, "a")}, settings=settings_for(server, tmp_path))
        assert target.read_bytes() == server.files["a"].content and server.asked[-1].range == "bytes=300000-"


def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    with faulty_server() as server, small_disk(tmp_path / "disk", "1m") as disk:
        server.files["a"] = Served(b"x" * 1000)
        disk.set("ro")
        with pytest.raises(StorageError, match=r"a\.tar: .*read-only"):
            fetch_files({disk.folder / "S/a.tar": remote(server, "a")}, settings=settings_for(server, tmp_path))


def archive_of(folder: Path, clips: int) -> Path:
    (folder / "x").write_bytes(os.urandom(100_000))
    write_tar(folder / "video.tar", [(f"video/front/sad/level_1/{n:03d}.mp4", folder / "x") for n in range(clips)])
    return folder / "video.tar"


def test_unpacking_onto_a_full_disk_leaves_room_again(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, 6)
    with small_disk(tmp_path / "disk", "400k") as disk:
        raw = disk.folder / "raw" / "M003"
        with pytest.raises(StorageError, match=r"\.mp4: .*the disk is full; free some space"):
            unpack_subject("M003", archive, None, raw, raw / "index.csv", view="front")
        assert list((disk.folder / "raw").iterdir()) == []
        assert shutil.disk_usage(disk.folder).used < 50_000
        disk.set("size=2m")
        unpack_subject("M003", archive, None, raw, raw / "index.csv", view="front")
        assert [row["status"] for row in read_index(raw / "index.csv")] == ["failed"] + ["ok"] * 6


def test_a_disk_that_cannot_read_an_archive_does_not_break_the_archive(tmp_path: Path) -> None:
    archive, raw = tmp_path / "video.tar", tmp_path / "raw" / "M003"
    # Reading the beginning of this file fails as a failing disk does.
    archive.symlink_to("/proc/self/mem")
    with pytest.raises(StorageError, match=r"video\.tar: its disk reports an error"):
        unpack_subject("M003", archive, None, raw, raw / "index.csv", view="front")
    assert list(raw.parent.iterdir()) == []


def test_published_landmarks_that_vanish_do_not_turn_clips_into_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, tree = tmp_path / "video25", tmp_path / "mount" / "front"
    clips = [f"happy/level_1/{number:03d}" for number in (1, 2, 3)]
    face = np.random.default_rng(0).uniform(20, 60, (478, 3)).astype(np.float32)
    for clip in clips:
        with VideoWriter(videos / f"{clip}.mp4", 25, (96, 96)) as writer:
            for _ in range(5):
                writer.write(np.zeros((96, 96, 3), np.uint8))
    for clip in clips[:2]:
        write_landmarks(tree / clip, [[face]] * 5)
    rows = [{"clip": clip, "status": "ok", "video": f"{clip}.mp4", "frames": 5} for clip in clips]
    write_index(videos / "index.csv", rows, ("video", "frames"))
    outputs = tmp_path / "a.h5", tmp_path / "a.csv"

    def run() -> None:
        emote_landmarks.read_emote_landmarks_subject(
            "M003", videos, videos / "index.csv", tree, *outputs, settings=EmoteSettings(), min_found=0.25
        )

    read = emote_landmarks.read_emote_landmarks

    def read_and_lose(path: Path) -> object:
        found = read(path)
        tree.rename(tmp_path / "away")
        return found

    monkeypatch.setattr(emote_landmarks, "read_emote_landmarks", read_and_lose)
    with pytest.raises(StorageError, match=rf"002/{LANDMARKS_FILE}: does not exist, although .*mount it again"):
        run()
    assert not any(path.exists() for path in outputs)
    monkeypatch.undo()
    (tmp_path / "away").rename(tree)
    run()
    assert [row["reason"] for row in read_index(outputs[1])] == ["", "", "no_landmarks"]
