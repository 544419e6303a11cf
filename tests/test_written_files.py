"""Files written aside: their permissions, and whose temporary files are removed."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from occlufacediff import files
from occlufacediff.files import new_hdf5, written_aside

#: Holds a temporary file of the path in argv until its standard input is closed.
WRITER = """
import sys
from pathlib import Path
from occlufacediff.files import written_aside
with written_aside(Path(sys.argv[1])) as aside:
    print(aside, flush=True)
    sys.stdin.read()
"""


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_of_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with written_aside(tmp_path / "a.txt") as aside:
            aside.write_text("x")
        with new_hdf5(tmp_path / "a.h5") as file:
            file["x"] = 1
    finally:
        os.umask(before)
    assert _mode(tmp_path / "a.txt") == _mode(tmp_path / "a.h5") == mode


def test_the_umask_of_the_process_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that creates a file while another one changes the umask would make it world-writable."""
    umask = os.umask

    def with_another_thread(mask: int) -> int:
        before = umask(mask)
        (tmp_path / "other").touch()
        return before

    before = umask(0o077)
    monkeypatch.setattr(os, "umask", with_another_thread)
    try:
        with written_aside(tmp_path / "a.txt") as aside:
            aside.write_text("x")
    finally:
        umask(before)
    assert {path.name: _mode(path) for path in tmp_path.iterdir()} == {"a.txt": 0o600}


def test_two_machines_of_equal_name_keep_each_others_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see the folder (a network share) and have equal host names, but only one has the writing process."""
    target = tmp_path / "a.csv"
    monkeypatch.setattr(platform, "node", lambda: "node")
    for place in ("_BOOT_ID", "_PID_NAMESPACE"):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None and writer.stdin is not None
            theirs = Path(writer.stdout.readline().strip())
            # The other machine has other processes: there, a process of this number does not run.
            other = tmp_path / "other"
            if place == "_BOOT_ID":
                other.write_text("another boot\n")
            else:
                other.symlink_to("pid:[1]")
            with monkeypatch.context() as patched:
                patched.setattr(files, place, other)
                patched.setattr(files, "_start_time", lambda process: 1 if process == os.getpid() else None)
                with written_aside(target) as mine:
                    mine.write_text("x")
            assert theirs.exists()
            other.unlink()
            writer.stdin.close()
            assert writer.wait(30) == 0


def test_a_file_whose_process_number_was_reused_is_removed(tmp_path: Path) -> None:
    with written_aside(tmp_path / "a.csv") as mine:
        mine.write_text("x")
        earlier = tmp_path / re.sub(r"-\d+-\d+-", f"-{os.getpid()}-1-", mine.name)
        earlier.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_without_proc_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BOOT_ID", tmp_path / "missing")
    monkeypatch.setattr(files, "_start_time", lambda _: None)
    with written_aside(tmp_path / "a.csv") as first:
        with written_aside(tmp_path / "a.csv") as second:
            second.write_text("x")
        assert first.exists()
