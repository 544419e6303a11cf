"""A finished run of the tiny configuration by Snakemake, which is copied for each test."""

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
    """A copy of the workflow, with methods that run Snakemake in it."""

    folder: Path
    config: str = "config/tiny.yaml"

    @property
    def results(self) -> Path:
        """Results folder of the data set."""
        return self.folder / "results" / "tiny"

    @property
    def main_run(self) -> Path:
        """Folder of the run `main`: networks, evaluation and report."""
        return self.results / "runs" / "main"

    def command(self, *arguments: str, config: str | None = None) -> list[str]:
        """Command line of Snakemake for the tiny or another configuration."""
        return [sys.executable, "-m", "snakemake", "--configfile", config or self.config, "--cores", "2", *arguments]

    def environment(self) -> dict[str, str]:
        """Environment in which the package of this tree is imported."""
        return {**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}

    def run(self, *arguments: str, config: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; ``stdout`` of the result holds both output streams."""
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
        """Number of jobs by rule that a dry run plans; empty if there is nothing to do."""
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
        """Write the tiny configuration, updated with YAML ``text``, to a new file and return its name."""
        import yaml
        from snakemake.utils import update_config

        config = yaml.safe_load((self.folder / self.config).read_text())
        update_config(config, yaml.safe_load(text))
        (self.folder / "other.yaml").write_text(yaml.safe_dump(config))
        return "other.yaml"


def copy_workflow(folder: Path) -> Tree:
    """Copy the files of the workflow, without results."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    return Tree(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A finished run of the whole workflow. Tests must not change it."""
    folder = tmp_path_factory.mktemp("finished") / "tree"
    folder.mkdir()
    tree = copy_workflow(folder)
    result = tree.run()
    assert result.returncode == 0, result.stdout[-6000:]
    return tree


@pytest.fixture
def tree(finished: Tree, tmp_path: Path) -> Tree:
    """A copy of the finished run with the times of its files."""
    folder = tmp_path / "tree"
    shutil.copytree(finished.folder, folder)
    return Tree(folder)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The workflow without results, for tests of configuration errors. Tests must not change it."""
    folder = tmp_path_factory.mktemp("bare") / "tree"
    folder.mkdir()
    return copy_workflow(folder)
