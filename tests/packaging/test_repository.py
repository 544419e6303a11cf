"""Dockerfile, citation, changelog and catalog entry agree with the repository."""

from __future__ import annotations

import re

import yaml
from declared import PROJECT, ROOT

import occlufacediff

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_contains_all_that_installing_and_running_need():
    copied = [word for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M) for word in line.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    used = {"pyproject.toml", "requirements.lock", "README.md", "Makefile", "Snakefile", "occlufacediff"}
    used |= {"config", "profiles", "rules", "scripts", "envs", "report"}
    assert used <= set(copied)


def test_the_image_has_the_required_python():
    version = re.search(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.M)
    assert version is not None
    assert f">={version[1]}" in PROJECT["project"]["requires-python"]


def test_citation_has_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == occlufacediff.__version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert {"cff-version", "title", "message", "authors"} <= citation.keys()


def test_changelog_begins_with_unreleased_changes_and_has_this_version():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "Unreleased"
    assert occlufacediff.__version__ in headings


def test_catalog_entry_names_the_software_deployment():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["mandatory-flags"]["desc"]
