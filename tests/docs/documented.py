"""Reads the code blocks of the documentation and prepares a folder in which its commands can be tried."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from snakemake.utils import update_config
from wav2vec2_stand_in import write_wav2vec2

from occlufacediff.config.split import MEAD_TEST_SUBJECTS, MEAD_TRAIN_SUBJECTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "config/README.md", ROOT / "benchmarks/README.md"]
)
#: Languages of blocks; blocks without a language are commands or CSV.
SHELL, DATA = {"bash", "sh"}, {"csv", "text", "bibtex", "dockerfile"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    """All fenced blocks of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^( *)```([\w+-]*)[^\n]*\n(.*?)^ *```", text, re.S | re.M):
            line = text.count("\n", 0, match.start()) + 1
            content = re.sub(rf"^{match[1]}", "", match[3], flags=re.M)
            found.append(Block(str(page.relative_to(ROOT)), line, match[2] or guess(content), content))
    return found


def guess(text: str) -> str:
    """Language of a block without one: CSV has a comma and no space in every line."""
    lines = text.strip().splitlines()
    return "csv" if all("," in line and " " not in line.strip() for line in lines) else "bash"


def commands(block: Block) -> Iterator[str]:
    """Commands of a shell block, one line each, without comments and the text of here documents."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    text = re.sub(r"<<'?(\w+)'?\n.*?^\1$", "", text, flags=re.S | re.M)
    # A synopsis is continued in indented lines.
    text = re.sub(r"\n[ \t]+(?=\[)", " ", text)
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ")
        for part in line.split(" && "):
            if part:
                yield part


def words(command: str) -> list[str]:
    """Words of a command, without assignments before it and without the folder of the virtual environment."""
    parts = shlex.split(command)
    while parts and re.match(r"[A-Z_]+=", parts[0]):
        parts.pop(0)
    return [parts[0].removeprefix(".venv/bin/"), *parts[1:]] if parts else []


def is_configuration(block: Block) -> bool:
    """Whether a YAML block is a configuration of the workflow."""
    return block.language in {"yaml", "yml"}


def configuration(block: Block) -> dict[str, object]:
    """The defaults, updated by a documented configuration."""
    config = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    update_config(config, yaml.safe_load(block.text))
    return config


def prepare(folder: Path) -> None:
    """Fill a folder with empty stand-ins for everything that documented commands name and a user has.

    Configurations whose first line is a comment with a file name are written to that file.
    """
    for name in ("config", "profiles", "tests"):
        (folder / name).symlink_to(ROOT / name)
    subjects = (*MEAD_TRAIN_SUBJECTS, *MEAD_TEST_SUBJECTS)
    files = [
        f"{place}/{subject}/{name}"
        for place in ("FOLDER", "ARCHIVES", "faulty", "results/tiny/archives")
        for subject in subjects
        for name in ("video.tar", "audio.tar")
    ]
    files += [
        f"results/synthetic/runs/main/{network}/{name}"
        for network in ("motion_prior", "denoiser")
        for name in ("model.safetensors", "config.yaml")
    ]
    files.append("results/synthetic/runs/second/evaluation/metrics.csv")
    files += [
        f"models/{network}/{name}"
        for network in ("motion_prior", "denoiser")
        for name in ("model.safetensors", "config.yaml")
    ]
    # What tests/make_mead_stand_in.py writes.
    (folder / "mead_try").mkdir()
    for name in ("mead.yaml", "mead_published.yaml"):
        text = (ROOT / "config" / name).read_text(encoding="utf-8")
        (folder / "mead_try" / name).write_text(f"{text}archives: FOLDER\n", encoding="utf-8")
    files += ["FILE", "VIDEO", "FOLDER/talk.mp4"]
    files += ["results/readers/open-a4c5f09f/model.safetensors"]
    files += [f"VIDEOS/{speaker}/talk.mp4" for speaker in ("anna", "ben", "carl", "dora")]
    files += [f"exchange/{system}/.keep" for system in ("emoca", "ours")]
    emote = "published/processed"
    files += [
        f"{emote}/{kind}/{subject}/front/.keep"
        for subject in subjects
        for kind in ("landmarks_original/mediapipe", "reconstructions/EMICA-MEAD_flame2020")
    ]
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The description of a network names its kind.
        path.write_text(f"kind: {path.parent.name}\n" if path.name == "config.yaml" else "")
    # Converted networks name their head model, which the plan compares with the one in use.
    published = {"head_name": "flame2020", "expression_names": [f"exp_{n}" for n in range(100)]}
    for network, model in (("motion_prior", {"latent_dim": 128}), ("denoiser", {})):
        described = {"kind": network, **published, "model": model}
        (folder / "models" / network / "config.yaml").write_text(yaml.safe_dump(described))
    wav2vec2 = folder / "models/wav2vec2-base-960h/model.safetensors"
    wav2vec2.parent.mkdir()
    write_wav2vec2(wav2vec2)
    # Checks of the head model read its number of expressions.
    np.savez(folder / "models/flame2020.npz", expdirs=np.zeros((1, 3, 100), np.float32))
    (folder / "mead_files.csv").write_text(
        "subject,file,id,size,sha256\n"
        + "".join(
            f"{subject},{name},{subject}{name[0]},,\n" for subject in subjects for name in ("video.tar", "audio.tar")
        )
    )
    for block in blocks():
        title = re.match(r"# *([\w-]+\.yaml)\b", block.text)
        if is_configuration(block) and title:
            (folder / title[1]).write_text(block.text)
