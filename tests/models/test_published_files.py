"""The published checkpoints as files: read as published, refused where they could run code, errors name the entry."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from occlufacediff.cli import main
from occlufacediff.errors import AssetError
from occlufacediff.head.flame import EXPRESSION_NAMES
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior
from occlufacediff.models.published_checkpoint import read_audio_sizes, read_published

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "emote"))
from stand_ins import audio_sizes, denoiser_entries, lightning, prior_entries


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """A class of settings that is there while a checkpoint is written, and gone while it is read."""
    module = ModuleType("foreign_settings")

    class Settings(dict):  # type: ignore[type-arg]
        def __init__(self) -> None:
            super().__init__(depth=[1, 2])
            self.owner = Path("somewhere")

    Settings.__module__, Settings.__qualname__ = "foreign_settings", "Settings"
    module.Settings = Settings  # type: ignore[attr-defined]
    sys.modules["foreign_settings"] = module
    yield Settings
    sys.modules.pop("foreign_settings", None)


@pytest.fixture(scope="module")
def denoiser() -> dict[str, torch.Tensor]:
    return denoiser_entries()


@pytest.fixture
def flint(tmp_path: Path) -> Path:
    path = tmp_path / "flint.ckpt"
    torch.save(lightning(prior_entries(), {"lr": 1e-4}), path)
    return path


def test_the_denoisers_file_gives_the_parity_numbers(
    tmp_path: Path, goldens: Path, denoiser: dict[str, torch.Tensor]
) -> None:
    torch.save(denoiser, tmp_path / "denoiser.pt")
    (tmp_path / "config.json").write_text(json.dumps(audio_sizes()))
    target = tmp_path / "models" / "denoiser" / "model.safetensors"
    arguments = ["convert", str(tmp_path / "denoiser.pt"), "--to", str(target)]
    result = CliRunner().invoke(main, [*arguments, "--audio-config", str(tmp_path / "config.json")])
    assert result.exit_code == 0, result.output
    assert "denoiser for the head model flame2020, with config.yaml" in result.output
    model, info = load_denoiser(target.parent)
    assert (info.head_name, info.head_digest, info.expression_names) == ("flame2020", None, EXPRESSION_NAMES)
    assert info.training["converted_from"] == "denoiser.pt"
    inputs, want = np.load(goldens / "denoiser_inputs.npz"), np.load(goldens / "denoiser_768_smallw2v.npz")
    mask = np.unpackbits(inputs["lmk_mask"], axis=-1)[..., :468].astype(np.float32)
    with torch.no_grad():
        got = model(
            *(torch.from_numpy(inputs[name]) for name in ("x", "timesteps", "lmk_2d")),
            torch.from_numpy(mask),
            torch.from_numpy(inputs["audio_input"]),
        )
    assert np.abs(got.numpy() - want["out"]).max() <= 2e-5


def test_flints_lightning_file_gives_the_parity_numbers(tmp_path: Path, goldens: Path, foreign: type) -> None:
    torch.save(lightning(prior_entries(), foreign()), tmp_path / "flint.ckpt")
    del sys.modules["foreign_settings"]
    target = tmp_path / "flint.safetensors"
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "flint.ckpt"), "--to", str(target)])
    assert result.exit_code == 0, result.output
    model, info = load_motion_prior(target)
    assert info.folder == target
    assert target.with_suffix(".yaml").is_file()
    assert "foreign_settings" not in sys.modules
    want = np.load(goldens / "flint.npz")
    with torch.no_grad():
        mean, logvar = model.encode(torch.from_numpy(want["enc_in_T64"]))
        decoded = model.decode(torch.from_numpy(want["dec_in_T64"]))
    for got, name in ((mean, "enc_mean_T64"), (logvar, "enc_logvar_T64"), (decoded, "dec_out_T64")):
        assert np.abs(got.numpy() - want[name]).max() <= 1e-5


@pytest.mark.parametrize("wrap", ["state_dict", "model_state_dict", None])
@pytest.mark.parametrize("old_format", [False, True])
def test_entries_may_lie_under_a_key_and_in_the_old_format(
    tmp_path: Path, flint: Path, wrap: str | None, old_format: bool
) -> None:
    entries = prior_entries()
    path = tmp_path / "other.ckpt"
    torch.save({wrap: entries} if wrap else entries, path, _use_new_zipfile_serialization=not old_format)
    got, want = read_published(path).state_dict(), read_published(flint).state_dict()
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_both_names_of_weight_norms_and_computed_entries(tmp_path: Path, denoiser: dict[str, torch.Tensor]) -> None:
    sizes_path = tmp_path / "config.json"
    sizes_path.write_text(json.dumps(audio_sizes()))
    sizes = read_audio_sizes(sizes_path)
    new = denoiser_entries(old_names=False)
    assert {name for name in new if "original0" in name} and not {name for name in denoiser if "original0" in name}
    new = {name: tensor for name, tensor in new.items() if name != "tgt_mask" and not name.endswith(".pe")}
    torch.save(new, tmp_path / "new.pt")
    torch.save({"model_state_dict": denoiser}, tmp_path / "old.pt")
    got, want = (read_published(tmp_path / name, audio=sizes).state_dict() for name in ("new.pt", "old.pt"))
    assert all(torch.equal(got[name], want[name]) for name in want)


Change = Callable[[dict[str, torch.Tensor]], object]
NAME = "motion_decoder.post_transformer_linear.weight"
CHANGES: list[tuple[Change, str]] = [
    (lambda entries: entries.pop(NAME), rf"entry '{re.escape(NAME)}' is missing, expected shape \(128, 128\)"),
    (lambda entries: entries.update({NAME: torch.zeros(3, 4)}), r"has shape \(3, 4\), expected \(128, 128\)"),
    (lambda entries: entries.update({"motion_encoder.more": torch.zeros(1)}), "'motion_encoder.more' is not part"),
    (lambda entries: entries[NAME].fill_(float("nan")), f"'{re.escape(NAME)}' contains values that are not finite"),
    (lambda entries: (entries.clear(), entries.update(a=torch.zeros(1)))[0], "neither .* its first entries are a"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_what_is_missing_extra_or_misshapen_is_named(tmp_path: Path, change: Change, words: str) -> None:
    entries = prior_entries()
    change(entries)
    path = tmp_path / "flint.ckpt"
    torch.save({"state_dict": entries}, path)
    with pytest.raises(AssetError, match=rf"flint\.ckpt: .*{words}"):
        read_published(path)


def test_other_files_under_a_checkpoints_name(tmp_path: Path, flint: Path) -> None:
    whole = flint.read_bytes()
    damaged = bytearray(whole)
    with zipfile.ZipFile(flint) as file:
        biggest = max(file.infolist(), key=lambda member: member.file_size)
    damaged[biggest.header_offset + biggest.file_size // 2] ^= 0xFF
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as file:
        file.writestr("readme.txt", "hello")
    cases = {
        "page.pt": (b"\n<!DOCTYPE html><title>Log in</title>", "a web page"),
        "short.pt": (whole[: len(whole) // 2], "cut short"),
        "tiny.pt": (whole[:50], "cut short"),
        "empty.pt": (b"", "not a"),
        "text.pt": (b"hello there", "not a"),
        "damaged.pt": (bytes(damaged), r"entry '.*' is damaged"),
        "list.pt": (pickle.dumps([1, 2]), "not a|got a|refused"),
        "zip.pt": ((tmp_path / "zip.pt").read_bytes(), "needs one data.pkl"),
    }
    for name, (content, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(AssetError, match=rf"{re.escape(name)}: .*({words})"):
            read_published(path)
    with pytest.raises(AssetError, match=r"gone\.pt: no such file"):
        read_published(tmp_path / "gone.pt")


class Evil:
    """Pickles into a call that writes."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("call", [os.mkdir, open, eval, subprocess.call, np.save, torch.save])
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, call: Any, old_format: bool) -> None:
    victim = str(tmp_path / "victim")
    arguments: dict[Any, tuple[Any, ...]] = {
        open: (victim, "w"),
        eval: (f"open({victim!r}, 'w')",),
        subprocess.call: (["touch", victim],),
        np.save: (victim, [1]),
        torch.save: ([1], victim),
    }
    evil = Evil(call, *arguments.get(call, (victim,)))
    path = tmp_path / "evil.ckpt"
    torch.save(lightning(prior_entries(), evil), path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(AssetError, match=r"evil\.ckpt: refused"):
        read_published(path)
    assert not list(tmp_path.glob("victim*"))


def test_convert_says_what_does_not_go_together(tmp_path: Path, flint: Path) -> None:
    runner = CliRunner()
    cases = [
        ([str(flint), "--to", "head.npz"], "ends in .safetensors"),
        ([str(tmp_path), "--to", "head.safetensors"], "ends in .npz"),
        ([str(tmp_path / "gone.pt"), "--to", "a.safetensors"], "no such file"),
        ([str(tmp_path), "--to", "a.npz"], "no FLAME model found"),
    ]
    for arguments, words in cases:
        result = runner.invoke(main, ["convert", *arguments])
        assert (result.exit_code, len(result.output.strip().splitlines())) == (2, 1), result.output
        assert words in result.output
