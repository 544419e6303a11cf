"""Every command, configuration and link of the documentation is valid."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from documented import (
    DATA,
    PAGES,
    ROOT,
    SHELL,
    Block,
    blocks,
    commands,
    configuration,
    is_configuration,
    prepare,
    words,
)
from snakemake.cli import get_argument_parser

from occlufacediff.cli import main
from occlufacediff.config.load import load_config
from occlufacediff.workflow.resources import gpus_here

BLOCKS = blocks()
COMMANDS = {command: block for block in BLOCKS if block.language in SHELL for command in commands(block)}
#: Programs that belong to the reader's system; only their presence in this list is checked.
SYSTEM = {
    *(
        "apt-get",
        "cd",
        "chmod",
        "curl",
        "dask",
        "docker",
        "export",
        "git",
        "mkdir",
        "openssl",
        "read",
        "sbatch",
        "source",
        "tensorboard",
    ),
    "sudo",
}
CHECKED = {"make", "occlufacediff", "pip", "pytest", "python", "python3.11", "snakemake", "uv"}
#: A line for each way to call Snakemake; the same call with and without the virtual environment's folder is tried once.
SNAKEMAKE = {" ".join(words(command)[1:]): command for command in sorted(COMMANDS) if words(command)[0] == "snakemake"}
PYTHON = [block for block in BLOCKS if block.language == "python"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def _calls(program: str) -> list[str]:
    return sorted(command for command in COMMANDS if words(command)[0] == program)


def test_the_language_of_every_block_is_known():
    unknown = {str(block): block.language for block in BLOCKS}
    known = SHELL | DATA | {"yaml", "python", "snakemake"}
    assert {place: language for place, language in unknown.items() if language not in known} == {}


def test_every_program_is_known():
    programs = {words(command)[0]: str(block) for command, block in COMMANDS.items()}
    assert {name: place for name, place in programs.items() if name not in SYSTEM | CHECKED} == {}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stand-ins for a user's files."""
    path = tmp_path_factory.mktemp("documented")
    prepare(path)
    return path


@pytest.mark.slow
@pytest.mark.xdist_group("documented")
@pytest.mark.parametrize("command", SNAKEMAKE.values())
def test_snakemake_commands_plan_without_error(command: str, folder: Path):
    arguments = [word.replace("NAME", "name").replace("HOST", "localhost") for word in words(command)[1:]]
    line = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run", "--quiet", "all"]
    if "--workflow-profile" not in arguments:
        line += ["--cores", "2"]
    if "--report" in arguments:
        # A report needs a finished run, so only its options are checked.
        get_argument_parser().parse_args(arguments)
        return
    answer = subprocess.run(
        [*line, *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, "MEAD_TOKEN": "token"}
    )
    shown = answer.stdout + answer.stderr
    if "two_gpus.yaml" in arguments and gpus_here() < 2:
        assert answer.returncode == 1 and "loop.devices: got 2, but this machine has" in shown
        return
    assert answer.returncode == 0, f"{COMMANDS[command]}: {command}\n{shown[-2000:]}"


@pytest.mark.parametrize("command", _calls("occlufacediff"))
def test_occlufacediff_commands_are_parsed(command: str):
    arguments = words(command)[1:]
    assert isinstance(main, click.Group)
    subcommand = main.commands[arguments[0]]
    if re.search(r" \[-", command):
        named = set(re.findall(r"--[a-z-]+", command))
        options = {option for parameter in subcommand.params for option in parameter.opts if option.startswith("--")}
        assert named <= options, COMMANDS[command]
        return
    subcommand.make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("command", _calls("make"))
def test_make_targets_exist(command: str):
    answer = subprocess.run(["make", "--dry-run", *words(command)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, f"{COMMANDS[command]}: {answer.stderr}"


def test_make_targets_in_sentences_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for target in re.findall(r"`(?:[A-Z]+=\S+ )?make ([a-z-]+)`", page.read_text()):
            assert target in targets, f"{page.relative_to(ROOT)}: make {target}"


@pytest.mark.parametrize("command", [*_calls("pip"), *_calls("uv")])
def test_installed_extras_exist(command: str):
    for extras in re.findall(r"(?:\.|occlufacediff)\[([\w,-]+)\]", command):
        assert set(extras.split(",")) <= EXTRAS.keys(), f"{COMMANDS[command]}: {command}"


@pytest.mark.parametrize("command", [*_calls("python"), *_calls("python3.11"), *_calls("pytest")])
def test_python_files_and_modules_exist(command: str):
    arguments = words(command)[1:]
    if "-m" in arguments and words(command)[0] != "pytest":
        module = arguments[arguments.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None, f"{COMMANDS[command]}: {command}"
    for word in arguments:
        if re.match(r"(tests|benchmarks|scripts|occlufacediff)/", word):
            assert (ROOT / word).exists(), f"{COMMANDS[command]}: there is no {word}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if is_configuration(block)], ids=str)
def test_configurations_are_valid(block: Block):
    load_config(configuration(block))


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_configuration_files_are_valid(path: Path):
    config = configuration(Block(path.name, 1, "yaml", path.read_text()))
    if config["source"] == "local":
        # Given on the command line.
        config["archives"] = "FOLDER"
    if config["source"] == "videos":
        config["videos"] = "VIDEOS"
    load_config(config)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_blocks_import_what_exists(block: Block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path):
    targets = re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))
    broken = [name for name in targets if "://" not in name and not (page.parent / name).exists()]
    assert broken == []


def test_the_example_of_an_external_result_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from small_head import small_head

    from occlufacediff.evaluation.external import ExternalFolder

    block = next(block for block in PYTHON if block.page == "docs/evaluation.md")
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, str(block), "exec"), {})
    head = replace(small_head(), name="flame2020")
    # An expression basis as wide as FLAME's.
    wide = replace(head, expdirs=np.zeros((head.n_vertices, 3, 100)), expression_names=tuple(map(str, range(100))))
    found = ExternalFolder.open("EMOCA", tmp_path / "exchange" / "emoca", ["none"])
    result = found.read("none", "M003/happy/level_1/021", 80, wide)
    assert result.motion is not None
    assert result.motion.shape == (80, 103)
    assert result.padded == 50
    assert found.unmatched(["M003/happy/level_1/021"]) == []
