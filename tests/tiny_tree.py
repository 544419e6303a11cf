"""One finished run of the tiny configuration through real Snakemake, copied for each test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "scripts", "occlufacediff", "config", "profiles", "report", "envs")
_ROW = re.compile(r"^(\w+) +(\d+)$")


@dataclass(frozen=True)
class Tree:
    """A copy of the workflow with its results, and Snakemake in it."""

    folder: Path
    config: str = "config/tiny.yaml"

    @property
    def results(self) -> Path:
        """Folder of the data set's results."""
        return self.folder / "results" / "tiny"

    @property
    def main_run(self) -> Path:
        """Folder of the run's networks, evaluation and report."""
        return self.results / "runs" / "main"

    def command(self, *arguments: str, config: str | None = None) -> list[str]:
        """Command line of Snakemake on the tiny configuration, or on another one."""
        return [sys.executable, "-m", "snakemake", "--configfile", config or self.config, "--cores", "2", *arguments]

    def environment(self) -> dict[str, str]:
        """Environment in which the tree's own package is the one imported."""
        return {**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}

    def run(self, *arguments: str, config: str | None = None) -> subprocess.CompletedProcess[str]:
        """Snakemake with its output (both streams) in ``stdout``."""
        return subprocess.run(
            self.command(*arguments, config=config),
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
            check=False,
        )

    def plan(self, *arguments: str, config: str | None = None) -> dict[str, int]:
        """Number of jobs that a dry run plans, by rule; empty where there is nothing to do."""
        result = self.run("--dry-run", *arguments, config=config)
        assert result.returncode == 0, result.stdout
        if "Nothing to be done" in result.stdout:
            return {}
        table = result.stdout.split("Job stats:")[-1]
        rows = (_ROW.match(line) for line in table.splitlines())
        jobs = {row[1]: int(row[2]) for row in rows if row}
        assert jobs, result.stdout
        return {name: count for name, count in jobs.items() if name not in {"all", "total"}}

    def override(self, text: str) -> str:
        """Name of a configuration that is the tiny one with some lines of YAML over it."""
        import yaml
        from snakemake.utils import update_config

        config = yaml.safe_load((self.folder / self.config).read_text())
        update_config(config, yaml.safe_load(text))
        (self.folder / "other.yaml").write_text(yaml.safe_dump(config))
        return "other.yaml"


def copy_workflow(folder: Path) -> Tree:
    """The workflow's files, without results."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    return Tree(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The whole chain, run once; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "tree"
    folder.mkdir()
    tree = copy_workflow(folder)
    result = tree.run()
    assert result.returncode == 0, result.stdout[-6000:]
    return tree


@pytest.fixture
def tree(finished: Tree, tmp_path: Path) -> Tree:
    """A copy of the finished run, times of files included."""
    folder = tmp_path / "tree"
    shutil.copytree(finished.folder, folder)
    return Tree(folder)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The workflow without results, for messages about the configuration; not to be changed."""
    folder = tmp_path_factory.mktemp("bare") / "tree"
    folder.mkdir()
    return copy_workflow(folder)
