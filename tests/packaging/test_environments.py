"""The conda environments are generated, and each contains what the stages of its rules import."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from declared import ROOT

from occlufacediff.workflow.environments import documents, lock_graph, rule_scripts, script_modules, third_party

HELPER = Path(__file__).with_name("allowed_only.py")
ENVIRONMENTS = sorted(rule_scripts())
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def _pip_pins(environment: str) -> list[str]:
    """Distributions in an environment's YAML file, with versions."""
    content = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())
    pins: list[str] = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    return pins


def _post_deploy(environment: str) -> list[list[str]]:
    """Arguments of the pip commands that conda runs after it has made an environment."""
    script = ROOT / "envs" / f"{environment}.post-deploy.sh"
    lines = script.read_text().splitlines() if script.exists() else []
    return [shlex.split(line) for line in lines if line.startswith("python -m pip ")]


def _pins(environment: str) -> list[str]:
    """Distributions in the files of an environment, with versions."""
    return _pip_pins(environment) + [word for line in _post_deploy(environment) for word in line if "==" in word]


def _names(environment: str) -> list[str]:
    return [pin.split("==")[0] for pin in _pins(environment)]


def _imports(environment: str) -> list[str]:
    """Modules of this package that the environment's rules use, and all third-party modules that these import."""
    modules = {module for script in rule_scripts()[environment].values() for module in script_modules(script)}
    return [*sorted(modules), *sorted(third_party(modules))]


def _import(environment: str, allowed: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "allowed.json"
    file.write_text(json.dumps(allowed))
    command = [sys.executable, str(HELPER), str(file), IMPORT_ALL, *_imports(environment)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_files_are_those_that_make_envs_writes():
    files = documents()
    assert {path: path.read_text() for path in files} == files, "run `make envs`"
    assert {path for path in (ROOT / "envs").iterdir() if not path.name.startswith(".")} == files.keys()


def test_every_rule_with_a_script_has_an_environment():
    scripts = {path.name for rules in rule_scripts().values() for path in rules.values()}
    assert scripts == {path.name for path in (ROOT / "scripts").glob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_stages_import_with_nothing_but_their_environment(environment: str, tmp_path: Path):
    answer = _import(environment, _names(environment), tmp_path)
    assert answer.returncode == 0, answer.stderr[-2000:]


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_stages_import_in_an_environment_installed_from_its_files(environment: str, tmp_path: Path):
    # conda's part is Python and pip; uv installs the same distributions faster than pip.
    venv = tmp_path / environment
    python = venv / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python]
    # In another folder, so that pyproject.toml's settings of uv do not apply.
    subprocess.run([*install, *_pip_pins(environment)], check=True, cwd=tmp_path)
    for command in _post_deploy(environment):
        assert command[:4] == ["python", "-m", "pip", "install"], command
        subprocess.run([*install, *command[4:]], check=True, cwd=tmp_path)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    answer = subprocess.run(
        [python, "-c", IMPORT_ALL, *_imports(environment)],
        env=clean | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_a_missing_library_is_noticed(tmp_path: Path):
    answer = _import("learn", [name for name in _names("learn") if name != "pillow"], tmp_path)
    assert answer.returncode != 0
    assert "No module named 'PIL'" in answer.stderr


def test_lock_graph_reads_both_kinds_of_comments():
    lock = (
        "one==1.0 \\\n    --hash=sha256:0\n    # via\n    #   two\n    #   three-four\n"
        "two==2.0 ; sys_platform == 'linux' \\\n    --hash=sha256:0\n    # via occlufacediff (pyproject.toml)\n"
    )
    versions, requires = lock_graph(lock)
    assert versions == {"one": "1.0", "two": "2.0"}
    assert requires == {"two": {"one"}, "three-four": {"one"}, "occlufacediff": {"two"}}
