"""The workflow's files agree with each other: rules with scripts, environments with the lock, keys in one order."""

from __future__ import annotations

import os
import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
import yte

ROOT = Path(__file__).resolve().parents[2]
ORDER = [
    "input",
    "output",
    "log",
    "benchmark",
    "wildcard_constraints",
    "threads",
    "resources",
    "params",
    "message",
    "conda",
    "script",
]


def _locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return {name.lower(): version for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ]+) ", text, re.M)}


def _rules() -> dict[str, str]:
    rules: dict[str, str] = {}
    for path in (ROOT / "rules").glob("*.smk"):
        if path.name != "targets.smk":
            # A rule may stand below an `if`, one step deeper, and ends where a line is not indented.
            blocks = re.split(r"^ *rule (\w+):\n", path.read_text(), flags=re.M)
            for name, text in zip(blocks[1::2], blocks[2::2], strict=True):
                rules[name] = dedent(re.split(r"^(?=\S)", text, flags=re.M)[0])
    return rules


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_agree_with_the_lock(path):
    content = yaml.safe_load(path.read_text())
    packages = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    locked = _locked()
    for package in packages:
        name, _, version = package.partition("==")
        assert locked[name] == version, package


def test_lock_has_hashes_and_no_registry():
    text = (ROOT / "requirements.lock").read_text()
    assert len(_locked()) > 100
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize(("name", "text"), sorted(_rules().items()))
def test_rule_is_complete_and_in_order(name, text):
    keys = re.findall(r"^(\w+):", text, re.M)
    assert keys == [key for key in ORDER if key in keys]
    assert set(ORDER) - set(keys) <= {"input", "wildcard_constraints"}
    assert f'"../scripts/{name}.py"' in text
    # A change of the code must not download everything again.
    assert ("code=fingerprint(" in text) != name.startswith("fetch_")
    assert (ROOT / "scripts" / f"{name}.py").is_file()
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name)


@pytest.mark.parametrize("name", ["predict_video", "sample_motions", "run_benchmark"])
def test_rules_that_hide_under_pictures_see_them_change(name):
    assert "pictures=occluders_state(" in _rules()[name]


def test_every_script_has_its_rule():
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} == set(_rules())


def test_local_jobs_share_the_memory_of_this_machine():
    profile = yte.process_yaml((ROOT / "profiles/default/config.yaml").read_text())
    resources = dict(entry.split("=") for entry in profile["resources"])
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 10**6
    assert int(resources["mem_mb"]) == pytest.approx(0.9 * installed, rel=0.01)
    assert resources["gpu"] == "1"


def test_private_interfaces_of_snakemake_are_used_in_one_place():
    private = r"workflow\.(?!basedir|current_basedir|source_path|cores\b)\w+"
    found = {
        path.name: set(re.findall(private, re.sub("#.*", "", path.read_text())))
        for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    }
    own = {f"workflow.{path.stem}" for path in (ROOT / "occlufacediff" / "workflow").glob("*.py")}
    used = {name: names - own for name, names in found.items()}
    assert {name: names for name, names in used.items() if names} == {
        "common.smk": {
            "workflow.config_settings",
            "workflow.dag",
            "workflow.deployment_settings",
            "workflow.remote_exec",
            "workflow.resource_settings",
        }
    }
