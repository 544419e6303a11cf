"""Conversion of FLAME folders: parity numbers, and all published file names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from occlufacediff.cli import main
from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.flame import find_flame
from occlufacediff.head.model import HeadModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "emote"))
from stand_ins import write_flame


def test_the_converted_folder_matches_the_parity_numbers(tmp_path: Path, goldens: Path) -> None:
    folder, target = write_flame(tmp_path / "FLAME2020"), tmp_path / "flame2020.npz"
    result = CliRunner().invoke(main, ["convert", str(folder), "--to", str(target)])
    assert result.exit_code == 0, result.output
    digest = HeadAsset.load(target).digest[:12]
    assert f"head model flame2020, digest {digest}, 5023 vertices, 105 landmarks, 5 regions" in result.output
    asset, want = HeadAsset.load(target), np.load(goldens / "flame.npz")
    model = HeadModel(asset)
    shape, exp, pose = (torch.from_numpy(want[name]) for name in ("shape", "exp", "pose6"))
    with torch.no_grad():
        vertices = model.vertices(shape, exp, pose[:, :3], pose[:, 3:])
        landmarks = model.landmarks(vertices)
    assert np.abs(vertices.numpy() - want["vertices"]).max() <= 1e-5
    assert np.abs(landmarks.numpy() - want["lmk3d"]).max() <= 1e-5


@pytest.mark.parametrize(
    ("names", "model", "name"),
    [
        (("generic_model.pkl", "female_model.pkl", "male_model.pkl"), "generic_model.pkl", "flame2020"),
        (("flame2023.pkl", "flame2023_no_jaw.pkl"), "flame2023.pkl", "flame2023"),
        (("flame2023_no_jaw.pkl",), "flame2023_no_jaw.pkl", "flame2023_no_jaw"),
        (("FLAME2023/flame2023_Open.pkl",), "FLAME2023/flame2023_Open.pkl", "flame2023"),
        (("FLAME_NEUTRAL.pkl", "notes.pkl"), "FLAME_NEUTRAL.pkl", "flame2020"),
        (("FLAME2020.pkl",), "FLAME2020.pkl", "flame2020"),
        (("female_model.pkl",), "female_model.pkl", "flame2020"),
    ],
)
def test_models_are_found_by_file_name(tmp_path: Path, names: tuple[str, ...], model: str, name: str) -> None:
    embedding = tmp_path / "mediapipe" / "Mediapipe_landmark_embedding.npz"
    for path in (*(tmp_path / one for one in names), embedding):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_flame(tmp_path) == (tmp_path / model, embedding, None, name)
    (tmp_path / "FLAME_masks.pkl").touch()
    assert find_flame(tmp_path / model) == (tmp_path / model, embedding, tmp_path / "FLAME_masks.pkl", name)


def test_missing_and_ambiguous_models_are_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no such file or folder"):
        find_flame(tmp_path / "gone")
    with pytest.raises(AssetError, match=r"no FLAME model found; needs generic_model\.pkl"):
        find_flame(tmp_path)
    (tmp_path / "generic_model.pkl").touch()
    with pytest.raises(AssetError, match=r"mediapipe_landmark_embedding\.npz is missing"):
        find_flame(tmp_path)
    (tmp_path / "flame2023.pkl").touch()
    with pytest.raises(AssetError, match=r"several FLAME models found \(flame2023\.pkl, generic_model\.pkl\)"):
        find_flame(tmp_path)
