"""pyproject.toml declares what is imported and nothing else; the lock pins all of it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest
from allowed_only import normalised
from declared import PROJECT, ROOT, installed_by, names, requirements

from occlufacediff.workflow.environments import DISTRIBUTIONS, lock_graph, third_party
from occlufacediff.workflow.fingerprint import closure

EXTRAS = sorted(PROJECT["project"]["optional-dependencies"])
VERSIONS, REQUIRES = lock_graph((ROOT / "requirements.lock").read_text())
#: Imported in functions that `predict` and `benchmark` reach only with the named extra.
WITH_EXTRA = {
    "distributed": "workflow",
    "face_alignment": "face-alignment",
    "pxr": "usd",
    "pytorch3d": "pytorch3d",
}
#: Used otherwise than by an import in Python files.
NOT_IMPORTED = {
    "snakemake": "imported by rules/common.smk",
    "snakemake-executor-plugin-slurm": "loaded by Snakemake for `--executor slurm`",
    "mypy": "a command of the Makefile",
    "ruff": "a command of the Makefile",
    "snakefmt": "a command of the Makefile",
    "uv": "a command of the Makefile",
    "setuptools": "builds the package",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "pandas-stubs": "types for mypy",
    "types-pyyaml": "types for mypy",
    "types-tqdm": "types for mypy",
}


def _distribution(module: str) -> str:
    others = {"skimage": "scikit-image"}
    return {**DISTRIBUTIONS, **others}.get(module, module.replace("_", "-"))


def _imported_in(*folders: str) -> set[str]:
    found: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return {_distribution(name.split(".")[0]) for name in found}


def _imported_by_package() -> set[str]:
    files = (ROOT / "occlufacediff").rglob("*.py")
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files}
    return {_distribution(name.split(".")[0]) for name in third_party(modules)}


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_the_lock_satisfies_every_requirement(extra: str | None):
    for requirement in requirements(extra):
        version = VERSIONS.get(normalised(requirement.name))
        assert version is not None, f"{requirement} is not in the lock: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement}: the lock has {version}"


def test_every_locked_distribution_is_required():
    assert set(VERSIONS) == installed_by(*EXTRAS)


def test_the_base_has_what_the_commands_import():
    imported = third_party(closure("occlufacediff.cli"))
    modules = {name.split(".")[0] for name in imported} - WITH_EXTRA.keys()
    assert {_distribution(name) for name in modules} <= names()
    for module, extra in WITH_EXTRA.items():
        assert _distribution(module) in names(extra)


def test_the_package_imports_what_base_and_extras_but_dev_declare():
    declared = names().union(*(names(extra) for extra in EXTRAS if extra != "dev"))
    assert _imported_by_package() <= declared


def test_every_declared_distribution_is_used():
    used = _imported_by_package() | NOT_IMPORTED.keys()
    for extra in (None, *(extra for extra in EXTRAS if extra != "dev")):
        assert names(extra) <= used, extra
    assert names("dev") <= _imported_in("tests", "benchmarks") | NOT_IMPORTED.keys()


def test_snakemake_has_an_upper_bound():
    snakemake = next(one for one in requirements("workflow") if one.name == "snakemake")
    assert any(one.operator in {"<", "==", "~="} for one in snakemake.specifier)


def test_one_build_of_opencv_is_locked():
    assert [name for name in VERSIONS if name.startswith("opencv")] == ["opencv-contrib-python"]
    for path in (ROOT / "envs").iterdir():
        assert not re.search(r"opencv-python\b(?! over)", path.read_text()), path.name


def test_one_build_of_opencv_is_installed():
    owners = sorted(set(importlib.metadata.packages_distributions()["cv2"]))
    assert owners == ["opencv-contrib-python"], "run `make install`: it removes opencv-python"


def test_requirements_have_no_second_list():
    assert [path.name for path in Path(ROOT).glob("requirements*")] == ["requirements.lock"]
