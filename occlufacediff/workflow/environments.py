"""Conda environments in ``envs/``, generated from the rules, the imports of their scripts and ``requirements.lock``.

A rule names its environment with ``conda:`` and its script with ``script:``. An environment contains the libraries that
the scripts of its rules import, directly or through modules of this package, and the dependencies of these libraries.
All versions are those of the lock. ``python -m occlufacediff.workflow.environments`` (``make envs``) writes the files.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from occlufacediff.files import written_aside
from occlufacediff.workflow.fingerprint import closure

PACKAGE = "occlufacediff"
ROOT = Path(__file__).resolve().parents[2]
#: Distributions whose name differs from that of the module they install by more than ``-`` for ``_``.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-contrib-python",
    "ffmpeg": "ffmpeg-python",
    "pxr": "usd-core",
    "pytorch3d": "easypytorch3d",
    "pythonosc": "python-osc",
    "vtkmodules": "vtk",
    "yaml": "pyyaml",
}
#: face-alignment requires opencv-python, which installs the same files as MediaPipe's opencv-contrib-python. pip has no
#: way to exclude it, so a script installs face-alignment without dependencies after the environment is created.
WITHOUT_DEPENDENCIES = ("face-alignment",)


def rule_scripts(root: Path = ROOT) -> dict[str, dict[str, Path]]:
    """Environment name -> rule name -> script, from the rules' files."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((root / "rules").glob("*.smk")):
        blocks = re.split(r"^ *rule (\w+):\n", path.read_text(encoding="utf-8"), flags=re.M)
        for rule, text in zip(blocks[1::2], blocks[2::2], strict=True):
            body = re.split(r"^(?=\S)", text, flags=re.M)[0]
            environment = re.search(r'"\.\./envs/(\w+)\.yaml"', body)
            script = re.search(r'"\.\./(scripts/\w+\.py)"', body)
            if environment and script:
                found.setdefault(environment[1], {})[rule] = root / script[1]
    return found


def script_modules(script: Path) -> set[str]:
    """Modules of this package that a script imports, directly or through others."""
    names = {name for name in _imports(script) if name.split(".")[0] == PACKAGE}
    return closure(*(name for name in names if _module_file(name) is not None))


def third_party(modules: Iterable[str]) -> set[str]:
    """Third-party modules that ``modules`` import at their top or inside functions, or look for with ``find_spec``."""
    found: set[str] = set()
    for module in modules:
        path = _module_file(module)
        if path is not None:
            found.update(_imports(path))
    known = {*sys.stdlib_module_names, PACKAGE}
    return {name for name in found if name.split(".")[0] not in known}


def lock_graph(lock: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Versions and dependencies of the distributions in the text of a lock file.

    Returns:
        name -> version, and name -> names of the distributions that it requires, from the lock's ``# via`` comments.
    """
    versions: dict[str, str] = {}
    requires: dict[str, set[str]] = {}
    for entry in re.split(r"^(?=[a-z0-9])", lock, flags=re.M):
        pin = re.match(r"([a-z0-9._-]+)==([^ ;\\\n]+)", entry)
        if pin is None:
            continue
        versions[pin[1]] = pin[2]
        for parent in re.findall(r"^    #(?: via|  )\s+([a-z0-9._-]+)", entry, flags=re.M):
            requires.setdefault(parent, set()).add(pin[1])
    return versions, requires


def with_dependencies(names: Iterable[str], requires: dict[str, set[str]]) -> set[str]:
    """``names`` and all distributions that they require, directly or through others."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(requires.get(name, ()))
    return found


def distributions(environment: str, root: Path = ROOT) -> dict[str, str]:
    """Name -> version of every distribution in an environment.

    Raises:
        KeyError: a script imports a library that is not in the lock.
    """
    modules = {module for script in rule_scripts(root)[environment].values() for module in script_modules(script)}
    direct = {name.split(".")[0] for name in third_party(modules)}
    versions, requires = lock_graph((root / "requirements.lock").read_text(encoding="utf-8"))
    names = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in direct}
    if unknown := names - versions.keys():
        raise KeyError(f"envs/{environment}.yaml: {sorted(unknown)} are imported and not in requirements.lock")
    return {name: versions[name] for name in sorted(with_dependencies(names, requires))}


def documents(root: Path = ROOT) -> dict[Path, str]:
    """Content of each generated file in ``envs/``."""
    files: dict[Path, str] = {}
    for environment, rules in rule_scripts(root).items():
        pins = distributions(environment, root)
        lines = [
            "# Generated by `make envs`; versions as in requirements.lock. Used with `--sdm conda`.",
            f"# Rules: {', '.join(sorted(rules))}.",
            "channels:",
            "  - conda-forge",
            "  - nodefaults",
            "dependencies:",
            "  - python=3.11",
            "  - pip",
            "  - pip:",
            *(f"      - {name}=={version}" for name, version in pins.items() if name not in WITHOUT_DEPENDENCIES),
        ]
        files[root / "envs" / f"{environment}.yaml"] = "\n".join(lines) + "\n"
        apart = [f"{name}=={pins[name]}" for name in WITHOUT_DEPENDENCIES if name in pins]
        if apart:
            files[root / "envs" / f"{environment}.post-deploy.sh"] = (
                "#!/usr/bin/env bash\n"
                "# Generated by `make envs`. Snakemake runs this once in the new environment.\n"
                "# With its dependencies, pip would install opencv-python over opencv-contrib-python.\n"
                "set -euo pipefail\n"
                f"python -m pip install --no-deps {' '.join(apart)}\n"
            )
    return files


def main() -> None:
    """Write the files."""
    for path, text in documents().items():
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")


def _module_file(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports by absolute name, or looks for with ``find_spec``."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "find_spec":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


if __name__ == "__main__":
    main()
