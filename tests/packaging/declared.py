"""What pyproject.toml and the lock declare."""

from __future__ import annotations

import tomllib
from pathlib import Path

from allowed_only import normalised
from packaging.requirements import Requirement

from occlufacediff.workflow.environments import lock_graph, with_dependencies

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(extra: str | None = None) -> list[Requirement]:
    """Requirements of the base or of an extra."""
    project = PROJECT["project"]
    return [
        Requirement(line) for line in (project["optional-dependencies"][extra] if extra else project["dependencies"])
    ]


def names(extra: str | None = None) -> set[str]:
    """Distributions that the base or an extra declares."""
    return {normalised(requirement.name) for requirement in requirements(extra)}


def installed_by(*extras: str) -> set[str]:
    """All distributions that the base with ``extras`` installs, by the lock."""
    _, requires = lock_graph((ROOT / "requirements.lock").read_text())
    return with_dependencies(names().union(*(names(extra) for extra in extras)), requires)
