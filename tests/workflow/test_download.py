"""Archives from a shared folder, through real Snakemake to the report; the token is in nothing that it leaves."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acquire"))
from faulty_server import TOKEN, FaultyServer, Served, faulty_server

from occlufacediff.acquire.refusals import refusal_in

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("workflow")]

SUBJECT = "M101"
NAMES = ("video.tar", "audio.tar", "sentences.csv")


@pytest.fixture
def server(finished, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """The shared folder with the archives of one subject of the tiny data set."""
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    with faulty_server() as running:
        for name in NAMES:
            content = (finished.results / "archives" / SUBJECT / name).read_bytes()
            running.files[f"id-{name.partition('.')[0]}"] = Served(content)
        yield running


def configure(tree, server: FaultyServer, **more: object) -> str:
    """A configuration that fetches that subject and evaluates the tiny networks on it."""
    with (tree.folder / "shared.csv").open("w", newline="") as file:
        rows = [(SUBJECT, name, f"id-{name.partition('.')[0]}") for name in NAMES]
        csv.writer(file).writerows([("subject", "file", "id"), *rows])
    options = "".join(f", {key}: {value}" for key, value in more.items())
    return tree.override(
        "{dataset: fetched, source: download, checkpoint: results/tiny/runs/main, split: {rule: all_test}, "
        "evaluation: {occlusions: [mouth], methods: [ours, neutral]}, "
        f"download: {{table: shared.csv, service: '{server.service}', accept_terms: [mead], first_wait_s: 0.1, "
        f"attempts: 6{options}}}}}"
    )


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            # Gone in the meantime.
            continue


def files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_from_a_faulty_server_to_the_report_without_the_token_anywhere(tree, server):
    seen: list[bool] = []
    server.spy = lambda: seen.append(any(TOKEN.encode() in line for line in command_lines()))
    half = len(server.files["id-video"].content) // 2
    server.files["id-video"].faults = [("cut", half), 503, ("retry_after", 0)]
    server.files["id-audio"].faults = ["drop", "chunked"]
    config = configure(tree, server)
    result = tree.run(config=config)
    assert result.returncode == 0, result.stdout[-6000:]
    folder = tree.folder / "results/fetched"
    assert (folder / "runs/main/report.html").stat().st_size > 0
    for name in NAMES:
        assert (folder / "archives" / SUBJECT / name).read_bytes() == (
            tree.results / "archives" / SUBJECT / name
        ).read_bytes()
    assert "terms of the authors of MEAD" in result.stdout
    assert f"bytes={half}-" in [asked.range for asked in server.asked]
    assert {asked.authorization for asked in server.asked} == {f"Bearer {TOKEN}"}
    assert TOKEN not in result.stdout
    assert files_with(tree.folder, TOKEN) == []
    assert seen and not any(seen)
    # Another mirror, more patience, another consent: no reason to fetch anything again.
    asked = len(server.asked)
    assert tree.plan(config=configure(tree, server, parallel=1, timeout_s=30.0)) == {}
    assert len(server.asked) == asked


def test_refusals_are_one_line_without_the_token(tree, server):
    server.files["id-video"].faults = [401] * 9
    server.files["id-audio"].faults = ["html"] * 9
    server.files["id-sentences"].content = TOKEN.encode()
    result = tree.run("acquire", config=configure(tree, server))
    assert result.returncode != 0
    assert (
        "the server rejects the request (401). The token in the environment variable MEAD_TOKEN is wrong"
        in result.stdout
    )
    assert "Traceback" not in result.stdout
    assert TOKEN not in result.stdout
    assert files_with(tree.folder, TOKEN) == []
    # The refused log-in stops its file; the page costs the sounds alone.
    (left,) = (tree.folder / "results").glob("fetched/archives/*/*.tar")
    assert left.name == "audio.tar"
    assert "a web page instead of the file" in (refusal_in(left) or "")


def test_a_licensed_asset_arrives_unpacked(bare, tmp_path, server, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("FLAME2020/generic_model.pkl", b"model" * 1000)
    server.files["flame"] = Served(packed.getvalue(), [503])
    server.files["masks"] = Served(b"masks" * 1000)
    monkeypatch.setenv("FLAME_USER", "holder@example.org")
    monkeypatch.setenv("FLAME_PASSWORD", "pass&word=öne")
    shutil.copytree(bare.folder, tmp_path / "tree")
    tree = replace(bare, folder=tmp_path / "tree")
    (tree.folder / "assets.csv").write_text(
        "asset,file,address,login,terms\n"
        f"flame2020,FLAME2020.zip,{server.base}/form/flame?domain=flame,form,flame\n"
        f"flame2020,FLAME_masks.pkl,{server.base}/open/masks,none,flame\n"
    )
    config = tree.override(
        "download: {assets: [flame2020], assets_table: assets.csv, accept_terms: [flame], first_wait_s: 0.1}"
    )
    result = tree.run("fetch", config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    assert "https://flame.is.tue.mpg.de/modellicense.html" in result.stdout
    folder = tree.folder / "resources/licensed/flame2020"
    assert (folder / "FLAME2020/generic_model.pkl").read_bytes() == b"model" * 1000
    assert (folder / "FLAME_masks.pkl").read_bytes() == b"masks" * 1000
    assert [row["file"] for row in csv.DictReader((folder / "index.csv").open())] == [
        "FLAME2020.zip",
        "FLAME_masks.pkl",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["flame2020"]
    assert files_with(tree.folder, "pass&word") == files_with(tree.folder, os.environ["FLAME_USER"]) == []
