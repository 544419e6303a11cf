"""Archives: deterministic when written, not trusted when read."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from occlufacediff.errors import ClipError
from occlufacediff.media.archives import unpack, write_tar


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
def test_hostile_members_refuse_the_whole_archive(tmp_path: Path, name: str, kind: bytes, link: str) -> None:
    archive = hostile(tmp_path / "a.tar", name, kind, link)
    with pytest.raises(ClipError, match="refused") as refused:
        unpack(archive, lambda member: tmp_path / "out" / "x.mp4")
    assert refused.value.reason == "unsafe_archive"
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
        with pytest.raises(ClipError, match=name) as refused:
            unpack(tmp_path / name, lambda member: None)
        assert refused.value.reason == reason


def test_names_that_could_not_be_read_back_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    for members in ([("../a", tmp_path / "a")], [("a", tmp_path / "a"), ("a", tmp_path / "a")]):
        with pytest.raises(ValueError, match="archive member"):
            write_tar(tmp_path / "a.tar", members)
    assert not (tmp_path / "a.tar").exists()
