"""Kills jobs of a running workflow, makes small file systems, and compares results: for the tests in this folder."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_tree import Tree


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """SHA-256 of files below a folder, by relative name."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def scripts_of(folder: Path) -> dict[str, int]:
    """Process of each rule's script that runs from ``folder`` now (other runs on this machine are not ours to kill)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            # Gone in the meantime.
            continue
        if len(words) > 1 and words[1].startswith(f"{folder}/.snakemake/scripts/"):
            found[words[1].split(".")[-2]] = int(entry.parent.name)
    return found


@contextmanager
def running(tree: Tree, *arguments: str, config: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake in a process group of its own, its output in ``run.log``; what still runs at the end is killed."""
    with (tree.folder / "run.log").open("wb") as log:
        process = subprocess.Popen(
            tree.command(*arguments, config=config),
            cwd=tree.folder,
            env=tree.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Killer:
    """Kills the script of each rule once, as soon as its file pattern is there: in the middle of its work.

    Attributes:
        when: rule -> pattern below the results, whose first match shows that the rule has begun; None: at once.
        kept: what was there when the rule was killed: path -> (inode, time of change).
    """

    tree: Tree
    when: dict[str, str | None]
    kept: dict[str, dict[Path, tuple[int, int]]] = field(default_factory=dict)
    redone: list[Path] = field(default_factory=list)

    def run(self, process: subprocess.Popen[bytes], seconds: float = 400) -> None:
        """Kill until Snakemake ends; then tell which kept files were written again."""
        end = time.monotonic() + seconds
        seen: dict[str, int] = {}
        looked = 0.0
        while process.poll() is None:
            assert time.monotonic() < end, (self.tree.folder / "run.log").read_text()[-4000:]
            # Looking at all processes is slow, at the files of a rule it is not.
            if time.monotonic() - looked > 0.05:
                looked, seen = time.monotonic(), scripts_of(self.tree.folder)
            for rule in set(seen) & set(self.when) - set(self.kept):
                pattern = self.when[rule]
                there = [] if pattern is None else list(self.tree.results.glob(pattern))
                if there or pattern is None:
                    os.kill(seen[rule], signal.SIGKILL)
                    self.kept[rule] = {path: state for path in there if (state := _state(path)) is not None}
            for files in self.kept.values():
                for path, before in files.items():
                    if _state(path) not in (before, None) and path not in self.redone:
                        self.redone.append(path)
            time.sleep(0.005)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns


class SmallDisk:
    """A file system of its own below a folder; only root can make one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, options: str) -> None:
        """Change its size or make it read-only."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount an empty file system of a size (``200k``) on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no file system of a few kilobytes can be made here: {made.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def errors_in(output: str) -> list[str]:
    """The lines of a run that are errors of ours."""
    return [line for line in output.splitlines() if line.startswith("ERROR: ")]
