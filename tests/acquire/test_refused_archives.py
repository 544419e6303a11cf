"""Archives that cannot be downloaded become rows of the manifest; everything else continues."""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_server import TOKEN, FaultyServer, Served, faulty_server

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from good_archives import write_good_archives

from occlufacediff.acquire.refusals import refusal_in
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.config.split import SplitSettings
from occlufacediff.errors import AssetError
from occlufacediff.stages.acquire import unpack_subject
from occlufacediff.stages.fetch import fetch_archive
from occlufacediff.stages.manifest import build_manifest
from occlufacediff.workflow.shards import read_index

CONTENT = os.urandom(200_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    with faulty_server() as running:
        yield running


def settings_for(server: FaultyServer, folder: Path, *rows: str) -> DownloadSettings:
    (folder / "shared.csv").write_text("\n".join(["subject,file,id,size,sha256", *rows]) + "\n")
    return DownloadSettings(
        accept_terms=("mead",),
        table=str(folder / "shared.csv"),
        service=server.service,
        checksums=str(folder / "checksums.csv"),
        first_wait_s=0.01,
        longest_wait_s=0.1,
        attempts=4,
    )


@pytest.mark.parametrize(
    ("faults", "known", "words", "requests"),
    [
        ([404], ",", r"no such file \(404\)", 1),
        ([410], ",", r"no such file \(410\)", 1),
        (["html"], ",", "a web page instead", 1),
        (["html_as_tar"], ",", "a web page instead", 1),
        ([], f",{'0' * 64}", "SHA-256 is", 2),
        ([], "999,", "size is 200000, and", 2),
    ],
)
def test_a_refused_archive_is_a_note_and_then_a_row(
    server: FaultyServer, tmp_path: Path, faults: list[object], known: str, words: str, requests: int
) -> None:
    server.files["v"] = Served(CONTENT, faults)
    settings = settings_for(server, tmp_path, f"M003,video.tar,v,{known}")
    target, raw = tmp_path / "M003/video.tar", tmp_path / "raw/M003"
    fetch_archive("M003", "video.tar", target, settings=settings)
    assert len(server.asked) == requests
    assert [path.name for path in target.parent.iterdir()] == ["video.tar"]
    assert not (tmp_path / "checksums.csv").exists()
    unpack_subject("M003", target, None, raw, raw / "index.csv", view="front")
    row = read_index(raw / "index.csv")[0]
    assert (row["clip"], row["status"], row["reason"]) == ("(archive)", "failed", "not_fetched")
    assert row["message"].startswith("M003/video.tar: ") and f"download it with --forcerun {target}" in row["message"]
    assert re.search(words, row["message"])
    build_manifest({"raw": [raw / "index.csv"]}, [], tmp_path / "manifest.csv", settings=SplitSettings())
    assert "not_fetched" in (tmp_path / "manifest.csv").read_text()
    # Its owner mended it: the archive itself takes the note's place.
    settings = settings_for(server, tmp_path, "M003,video.tar,v,,")
    fetch_archive("M003", "video.tar", target, settings=settings)
    assert target.read_bytes() == CONTENT and refusal_in(target) is None


@pytest.mark.parametrize(("faults", "words"), [([401] * 9, "401"), ([403] * 9, "403"), ([503] * 9, "given up")])
def test_what_may_be_of_all_archives_stops(
    server: FaultyServer, tmp_path: Path, faults: list[object], words: str
) -> None:
    server.files["v"] = Served(CONTENT, faults)
    with pytest.raises(AssetError, match=words):
        fetch_archive(
            "M003", "video.tar", tmp_path / "video.tar", settings=settings_for(server, tmp_path, "M003,video.tar,v,,")
        )
    assert not (tmp_path / "video.tar").exists()


def test_a_digest_that_was_wrong_once_is_forgiven(server: FaultyServer, tmp_path: Path) -> None:
    server.files["v"] = Served(b"damaged on the way", changed=CONTENT)
    server.files["v"].faults = ["", "change"]
    settings = settings_for(server, tmp_path, f"M003,video.tar,v,{len(CONTENT)},")
    fetch_archive("M003", "video.tar", tmp_path / "video.tar", settings=settings)
    assert (tmp_path / "video.tar").read_bytes() == CONTENT


def test_splits_are_not_guessed_where_a_table_of_sentences_is_refused(server: FaultyServer, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path, "M003,video.tar,v,,", "M003,sentences.csv,s,,")
    with pytest.raises(AssetError, match=r"sentences.csv: the server has no such file \(404\)"):
        fetch_archive("M003", "sentences.csv", tmp_path / "sentences.csv", settings=settings)
    assert not (tmp_path / "sentences.csv").exists()


@pytest.mark.long
@pytest.mark.xdist_group("workflow")
def test_one_of_two_subjects_is_refused_and_fetched_once_it_is_mended(
    bare: object, server: FaultyServer, tmp_path: Path
) -> None:
    shutil.copytree(bare.folder, tmp_path / "tree")  # type: ignore[attr-defined]
    tree = replace(bare, folder=tmp_path / "tree")  # type: ignore[type-var]
    good = write_good_archives(tmp_path / "good", clips=1)
    video, audio = ((good / "M101" / f"{name}.tar").read_bytes() for name in ("video", "audio"))
    server.files = {"v1": Served(video), "a1": Served(audio), "a2": Served(audio)}
    rows = [(subject, f"{kind}.tar", f"{kind[0]}{subject[-1]}") for subject in ("M101", "M102") for kind in KINDS]
    with (tree.folder / "shared.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "file", "id"), *rows])
    config = tree.override(
        "{dataset: fetched, source: download, split: {rule: all_test}, "
        f"download: {{table: shared.csv, accept_terms: [mead], first_wait_s: 0.1, service: '{server.service}'}}}}"
    )
    result = tree.run("acquire", config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    found = {subject: reasons(tree.folder / f"results/fetched/raw/{subject}") for subject in ("M101", "M102")}
    assert found == {"M101": [""], "M102": ["not_fetched", "no_video"]}
    asked = len(server.asked)
    assert tree.run("acquire", config=config).returncode == 0
    assert len(server.asked) == asked
    server.files["v2"] = Served(video)
    result = tree.run("acquire", "--forcerun", "results/fetched/archives/M102/video.tar", config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    assert len(server.asked) == asked + 1
    assert reasons(tree.folder / "results/fetched/raw/M102") == [""]


KINDS = ("video", "audio")


def reasons(raw: Path) -> list[str]:
    return [row["reason"] for row in read_index(raw / "index.csv")]
