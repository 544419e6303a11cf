"""Tables of remote files, consent and settings: errors before the first download."""

from __future__ import annotations

import contextlib
import copy
import csv
import pickle
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.utils import update_config

from occlufacediff.acquire.checksums import expected, remember
from occlufacediff.acquire.credentials import Secret
from occlufacediff.acquire.sources import ASSETS, Remote, archives, asset, assets
from occlufacediff.config.acquire import DownloadSettings, fault_of_address
from occlufacediff.config.load import load_config
from occlufacediff.errors import AssetError, ConfigError, OccluFaceError
from occlufacediff.workflow.inputs import check_inputs, subjects

DEFAULT = yaml.safe_load((Path(__file__).resolve().parents[2] / "config/default.yaml").read_text())
TOKEN = "ya29.loopback-Secret_0123456789"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("download: {table: TABLE}", ["download.accept_terms", "terms of the authors of MEAD", "https://", "[mead]"]),
        ("download: {accept_terms: [mead]}", ["download.table", "subject,file,id"]),
        ("download: {accept_terms: [mead], table: nowhere.csv}", ["download.table", "nowhere.csv"]),
        ("{download: {accept_terms: [mead], table: TABLE}, subjects: [M999]}", ["M999", "table", "M101"]),
        ("download: {accept_terms: [mead, flume], table: TABLE}", ["flume", "flame"]),
        ("{source: synthetic, download: {assets: [flame2020]}}", ["Max Planck", "flame.is.tue.mpg.de", "[flame]"]),
        ("{source: synthetic, download: {assets: [flame1]}}", ["flame1", "flame2020"]),
        ("{source: synthetic, download: {assets: [occlufacediff]}}", ["publishes no address", "assets_table"]),
        (f"download: {{token_variable: {TOKEN}}}", ["download.token_variable", "NAME", "never the secret"]),
        ("download: {service: 'http://example.org'}", ["download.service", "https://"]),
        (f"download: {{service: 'https://me:{TOKEN}@example.org'}}", ["download.service", "password"]),
        ("download: {attempts: 0}", ["download.attempts", "0", "at least 1"]),
        ("acquire: {max_members: 0}", ["acquire.max_members", "at least 1"]),
    ],
)
def test_what_is_missing_is_named_before_anything_is_fetched(tmp_path, options, words):
    table = tmp_path / "shared.csv"
    table.write_text("subject,file,id\nM101,video.tar,abc\n")
    raw = copy.deepcopy(DEFAULT) | {"source": "download"}
    update_config(raw, yaml.safe_load(options.replace("TABLE", str(table))))
    with pytest.raises(OccluFaceError) as refused:
        config = load_config(raw)
        subjects(config)
        check_inputs(config)
    for word in words:
        assert word in str(refused.value)
    assert TOKEN not in str(refused.value) and "\n" not in str(refused.value)


def test_archives_of_the_table(tmp_path):
    table = tmp_path / "shared.csv"
    table.write_text(
        "\ufeffsubject,file,id,size,sha256,remark\n"
        f"W009,video.tar,1AbC_d-e,7100000000,{'AB' * 32},from the owner\n"
        "W009,sentences.csv,2x,,,\n"
        "M003,video.tar,3x,,,\n"
    )
    found = archives(DownloadSettings(table=str(table)))
    assert list(found) == [("W009", "video.tar"), ("W009", "sentences.csv"), ("M003", "video.tar")]
    first = found["W009", "video.tar"]
    assert first.address == "https://www.googleapis.com/drive/v3/files/1AbC_d-e?alt=media&supportsAllDrives=true"
    assert (first.size, first.sha256, first.identity) == (7_100_000_000, "ab" * 32, "files/1AbC_d-e")
    assert found["M003", "video.tar"].size is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("../M003,video.tar,a,,", ["line 2", "column subject"]),
        ("M003,../video.tar,a,,", ["line 2", "column file", "audio.tar"]),
        ("M003,video.tar,https://example.org/a,,", ["line 2", "column id"]),
        ("M003,video.tar,,,", ["line 2", "column id"]),
        ("M003,video.tar,a,7 GB,", ["line 2", "column size", "7 GB"]),
        ("M003,video.tar,a,,abc", ["line 2", "column sha256", "64 hex"]),
        ("M003,video.tar,a,,\nM003,video.tar,b,,", ["line 3", "once"]),
        ("M003,audio.tar,a,,", ["no video.tar of M003"]),
        ("", ["no rows"]),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, words):
    table = tmp_path / "shared.csv"
    table.write_text(f"subject,file,id,size,sha256\n{rows}\n")
    with pytest.raises(ConfigError) as refused:
        archives(DownloadSettings(table=str(table)))
    for word in ["download.table", str(table), *words]:
        assert word in str(refused.value)


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_any_table_is_read_or_refused(tmp_path_factory, content):
    table = tmp_path_factory.mktemp("table") / "t.csv"
    table.write_bytes(b"subject,file,id\n" + content)
    with contextlib.suppress(ConfigError):
        assert archives(DownloadSettings(table=str(table)))


def test_own_table_of_assets(tmp_path):
    known = assets(DownloadSettings())
    assert {"flame2020", "flint", "emoca", "mead_processed", "occlufacediff"} <= set(known)
    with ASSETS.open(newline="") as file:
        assert all(not fault_of_address(row["address"]) for row in csv.DictReader(file) if row["address"])
    table = tmp_path / "assets.csv"
    table.write_text("asset,file,address,login,terms\nocclufacediff,model.pt,1AbC,token,occlufacediff\n")
    remote = asset(DownloadSettings(assets_table=str(table)), "occlufacediff")["model.pt"]
    assert remote.address == "https://www.googleapis.com/drive/v3/files/1AbC?alt=media&supportsAllDrives=true"
    table.write_text("asset,file,address,login,terms\na,b,ftp://example.org/b,none,flame\n")
    with pytest.raises(ConfigError, match=r"line 2, column address: .*https://"):
        assets(DownloadSettings(assets_table=str(table)))


def test_a_secret_shows_nowhere():
    secret = Secret(TOKEN)
    assert TOKEN not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(secret)


def test_the_table_of_first_use_is_filled_by_many_at_once(tmp_path):
    table = tmp_path / "deep" / "checksums.csv"
    remotes = [Remote(f"S/{number}", f"files/{number}", "", "token", ("mead",)) for number in range(20)]
    jobs = [threading.Thread(target=remember, args=(remote, 5, "0" * 64, table)) for remote in remotes]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert all(expected(remote, table).size == 5 for remote in remotes)
    table.write_text("address,size,sha256\nfiles/1,five,0\n")
    with pytest.raises(AssetError, match=r"checksums\.csv.*correct or remove"):
        expected(remotes[1], table)


def test_a_folder_that_lacks_its_archive_is_a_subject_and_others_are_not(tmp_path):
    def local():
        return subjects(load_config(copy.deepcopy(DEFAULT) | {"source": "local", "archives": str(tmp_path)}))

    for name in ("M001/audio.tar", "M002/.video.tar.part", "M003/M003_video.zip", "M004/video/front/sad", "M005"):
        path = tmp_path / name
        path.mkdir(parents=True) if path.suffix == "" else (path.parent.mkdir(), path.touch())
    with pytest.raises(ConfigError, match=r"archives: no subject in .*needs <subject>/video\.tar"):
        local()
    for name in (
        "W001/video.tar",
        "results/synthetic/report.html",
        "logs/a/b.log",
        "lost+found/c",
        ".hidden/video.tar",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "expected.csv").touch()
    assert local() == ["M001", "M002", "M003", "M004", "M005", "W001"]
    (tmp_path / "M006 (copy)").mkdir()
    assert "M006 (copy)" not in local()
    (tmp_path / "M006 (copy)" / "video.tar").touch()
    with pytest.raises(ConfigError, match=r"'M006 \(copy\)'.*rename it"):
        local()
