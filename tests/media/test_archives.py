"""Archives: deterministic when written, not trusted when read."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from occlufacediff.errors import ClipError
from occlufacediff.media.archives import Limits, unpack, unpack_zip, write_tar


def sample(folder: Path) -> Path:
    for name in ("one", "two"):
        (folder / name).write_bytes(name.encode() * 3000)
    write_tar(folder / "a.tar", [("video/two.mp4", folder / "two"), ("video/one.mp4", folder / "one")])
    return folder / "a.tar"


def hostile(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("video/good.mp4")
        good.size = 4
        archive.addfile(good, io.BytesIO(b"good"))
        bad = tarfile.TarInfo(name)
        bad.type, bad.linkname = kind, link
        archive.addfile(bad)
    return path


def test_written_sorted_without_dates_and_read_back(tmp_path: Path) -> None:
    first = sample(tmp_path).read_bytes()
    (tmp_path / "one").touch()
    assert sample(tmp_path).read_bytes() == first
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert [(member.name, member.mtime, member.uid) for member in archive] == [
            ("video/one.mp4", 0, 0),
            ("video/two.mp4", 0, 0),
        ]
    names = unpack(tmp_path / "a.tar", lambda name: tmp_path / "out" / name if "one" in name else None)
    assert names == ["video/one.mp4"]
    assert (tmp_path / "out/video/one.mp4").read_bytes() == b"one" * 3000
    assert not (tmp_path / "out/video/two.mp4").exists()


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("/etc/evil", tarfile.REGTYPE, ""),
        ("video/../../evil", tarfile.REGTYPE, ""),
        ("video/evil.mp4", tarfile.SYMTYPE, "/etc/passwd"),
        ("video/evil.mp4", tarfile.LNKTYPE, "video/good.mp4"),
        ("video/evil.mp4", tarfile.FIFOTYPE, ""),
        ("video/evil.mp4", tarfile.CHRTYPE, ""),
        ("C:\\evil", tarfile.REGTYPE, ""),
    ],
)
def test_hostile_members_reject_the_whole_archive(tmp_path: Path, name: str, kind: bytes, link: str) -> None:
    archive = hostile(tmp_path / "a.tar", name, kind, link)
    with pytest.raises(ClipError, match="rejected") as rejected:
        unpack(archive, lambda member: tmp_path / "out" / "x.mp4")
    assert rejected.value.reason == "unsafe_archive"
    assert not (tmp_path / "out").exists()


def test_a_cut_off_archive_gives_what_is_whole(tmp_path: Path) -> None:
    data = sample(tmp_path).read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: 512 + 9216 + 512 + 100])
    with pytest.raises(ClipError, match=r"damaged, 1 files unpacked; video/two\.mp4 is cut off") as broken:
        unpack(tmp_path / "cut.tar", lambda name: tmp_path / "out" / name)
    assert broken.value.reason == "broken_archive"
    assert [path.name for path in (tmp_path / "out/video").iterdir()] == ["one.mp4"]


def test_no_archive_and_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("not a tar" * 100)
    for name, reason in (("none.tar", "no_archive"), ("text.tar", "broken_archive")):
        with pytest.raises(ClipError, match=name) as rejected:
            unpack(tmp_path / name, lambda member: None)
        assert rejected.value.reason == reason


def test_names_that_could_not_be_read_back_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    for members in ([("../a", tmp_path / "a")], [("a", tmp_path / "a"), ("a", tmp_path / "a")]):
        with pytest.raises(ValueError, match="archive member"):
            write_tar(tmp_path / "a.tar", members)
    assert not (tmp_path / "a.tar").exists()


def test_a_folder_packed_with_a_dot(tmp_path: Path) -> None:
    (tmp_path / "in/video").mkdir(parents=True)
    (tmp_path / "in/video/a.mp4").write_bytes(b"a")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "in", ".")
    assert unpack(tmp_path / "a.tar", lambda name: tmp_path / "out" / name) == ["./video/a.mp4"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(members=1), "'video/two.mp4'.*more than 1 members"),
        (Limits(member_bytes=8999), "'video/one.mp4'.*9000 bytes"),
        (Limits(archive_bytes=17999), "'video/two.mp4'.*more than 17999"),
    ],
)
def test_absurd_sizes_are_rejected_by_name(tmp_path: Path, mode: str, limits: Limits, word: str) -> None:
    with tarfile.open(tmp_path / "a.tar", mode) as archive:
        for name in ("video/one.mp4", "video/two.mp4"):
            entry = tarfile.TarInfo(name)
            entry.size = 9000
            archive.addfile(entry, io.BytesIO(bytes(9000)))
    with pytest.raises(ClipError, match=word) as rejected:
        unpack(tmp_path / "a.tar", lambda name: tmp_path / "out" / name, limits)
    assert rejected.value.reason == "unsafe_archive"
    assert not (tmp_path / "out").exists()
    assert len(unpack(tmp_path / "a.tar", lambda name: tmp_path / "out" / name)) == 2


def test_a_sparse_file_and_a_negative_size_are_rejected(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("video/bomb.mp4")
    entry.type = tarfile.GNUTYPE_SPARSE
    negative = tarfile.TarInfo("video/back.mp4")
    negative.size = -1024
    for name, content in (
        ("video/bomb.mp4", entry.tobuf()),
        ("video/back.mp4", negative.tobuf(tarfile.GNU_FORMAT)),
    ):
        (tmp_path / "a.tar").write_bytes(content + bytes(4096))
        with pytest.raises(ClipError, match=f"{name}' is rejected") as rejected:
            unpack(tmp_path / "a.tar", lambda name: tmp_path / "out" / name)
        assert rejected.value.reason == "unsafe_archive"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_damage_anywhere_never_ends_in_anything_but_its_own_error(tmp_path: Path, mode: str) -> None:
    with tarfile.open(tmp_path / "whole.tar", mode) as archive:
        for number in range(4):
            entry = tarfile.TarInfo(f"video/{number}.mp4")
            entry.size = 700
            archive.addfile(entry, io.BytesIO(bytes([number]) * 700))
    whole = (tmp_path / "whole.tar").read_bytes()
    damaged, out = tmp_path / "damaged.tar", tmp_path / "out"
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        content = bytearray(whole)
        content[place : place + 40] = b"\xa5" * len(content[place : place + 40])
        for tried in (bytes(content), whole[:place]):
            damaged.write_bytes(tried)
            try:
                names = unpack(damaged, lambda name: out / name)
            except ClipError as error:
                assert error.reason in ("broken_archive", "unsafe_archive")
            else:
                assert len(names) == 4
            written = [path for path in out.rglob("*") if path.is_file()] if out.exists() else []
            assert all(path.stat().st_size == 700 for path in written)


def zipped(path: Path, name: str, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("FLAME2020/good.pkl", b"good")
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, b"bad")
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("../evil", 0o100644), ("/etc/evil", 0o100644), ("C:\\evil", 0o100644), ("link", 0o120777)]
)
def test_hostile_zips_are_rejected(tmp_path: Path, name: str, mode: int) -> None:
    with pytest.raises(ClipError, match="rejected") as rejected:
        unpack_zip(zipped(tmp_path / "a.zip", name, mode), tmp_path / "out")
    assert rejected.value.reason == "unsafe_archive"
    assert not (tmp_path / "out").exists()


def test_zips_within_limits_are_unpacked_and_damaged_ones_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", "more/b.pkl")
    with pytest.raises(ClipError, match=r"'more/b\.pkl'.*more than 6 bytes"):
        unpack_zip(path, tmp_path / "out", Limits(archive_bytes=6))
    assert unpack_zip(path, tmp_path / "out") == ["FLAME2020/good.pkl", "more/b.pkl"]
    path.write_bytes(path.read_bytes().replace(b"good", b"gXod", 3))
    with pytest.raises(ClipError, match="not a readable zip") as broken:
        unpack_zip(path, tmp_path / "out2")
    assert broken.value.reason == "broken_archive"
