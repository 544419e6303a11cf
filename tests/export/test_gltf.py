"""glTF files: vertices equal those of the head model, the official validator accepts them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glb_reader import Glb
from node_tools import run_node
from small_head import small_head

from occlufacediff.export.gltf import GltfScene, head_glb
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.rig import CORRECTIVES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy

FRAMES = 9


def motion_of(head: HeadAsset, seed: int, name: str = "talk", shape_seed: int = 0) -> PosedMotion:
    """Large random movements."""
    rng = np.random.default_rng(seed)
    return PosedMotion(
        name=name,
        exp=rng.uniform(-0.3, 1.2, (FRAMES, head.n_exp)).astype(np.float32),
        jaw=rng.uniform(-0.5, 0.5, (FRAMES, 3)).astype(np.float32),
        global_pose=rng.uniform(-2, 2, (FRAMES, 3)).astype(np.float32),
        shape=np.random.default_rng(shape_seed).standard_normal(head.n_shape).astype(np.float32),
        fps=25.0,
    )


def with_correctives(head: HeadAsset) -> HeadAsset:
    """The small head with pose correctives, as FLAME has them."""
    posedirs = np.random.default_rng(3).normal(0, 0.002, (head.n_vertices, 3, 9)).astype(np.float32)
    return replace(head, posedirs=posedirs)


def true_vertices(head: HeadAsset, motion: PosedMotion) -> np.ndarray:
    return vertices_numpy(head, motion.shape, motion.exp, motion.global_pose, motion.jaw)


@pytest.mark.parametrize("correctives", [False, True])
def test_vertices_equal_those_of_the_head_model(tmp_path: Path, correctives: bool):
    head = with_correctives(small_head()) if correctives else small_head()
    motion = motion_of(head, 1)
    head_glb(head, [GltfScene("head", [motion])]).write(tmp_path / "a.glb")
    file = Glb(tmp_path / "a.glb")
    made = np.stack([file.vertices(0, 0, frame) for frame in range(FRAMES)])
    truth = true_vertices(head, motion)
    # The movements are large: each frame differs from the others by centimetres.
    assert np.abs(truth[1:] - truth[:-1]).max() > 0.02
    np.testing.assert_allclose(made, truth, atol=2e-6)
    np.testing.assert_allclose(file.times(0), np.arange(FRAMES) / 25, atol=1e-6)
    names = [*head.expression_names, *(CORRECTIVES if correctives else ())]
    assert file.document["meshes"][0]["extras"]["targetNames"] == names


@pytest.mark.slow
def test_the_open_head_keeps_its_vertices_without_moving_joints(tmp_path: Path, small_open_head: Path):
    head = HeadAsset.load(small_open_head)
    motion = motion_of(head, 2)
    head_glb(head, [GltfScene("head", [motion])]).write(tmp_path / "a.glb")
    file = Glb(tmp_path / "a.glb")
    for frame in (0, FRAMES - 1):
        np.testing.assert_allclose(file.vertices(0, 0, frame), true_vertices(head, motion)[frame], atol=2e-6)
    # Its joints do not depend on the expression.
    paths = [channel["target"]["path"] for channel in file.document["animations"][0]["channels"]]
    assert paths == ["weights", "rotation", "rotation"]


def test_scenes_have_their_identities_and_motions(tmp_path: Path):
    head = small_head()
    scenes = [
        GltfScene(f"clip {number}", [motion_of(head, 10 * number + seed, f"m{seed}", number) for seed in range(2)])
        for number in range(2)
    ]
    head_glb(head, scenes).write(tmp_path / "a.glb")
    file = Glb(tmp_path / "a.glb")
    assert [entry["name"] for entry in file.document["animations"]] == ["m0", "m1", "m0", "m1"]
    for scene in range(2):
        for method in range(2):
            truth = true_vertices(head, scenes[scene].motions[method])
            np.testing.assert_allclose(file.vertices(scene, 2 * scene + method, 4), truth[4], atol=2e-6)
    # Morph targets are stored once.
    one = head_glb(head, scenes[:1]).to_bytes()
    assert (tmp_path / "a.glb").stat().st_size < 1.6 * len(one)


def test_lowest_weights_are_those_of_the_mesh(tmp_path: Path):
    head = small_head()
    motion = motion_of(head, 1)
    head_glb(head, [GltfScene("head", [motion])]).write(tmp_path / "a.glb")
    weights = Glb(tmp_path / "a.glb").document["meshes"][0]["weights"]
    np.testing.assert_allclose(weights, np.minimum(0, motion.exp.min(axis=0)))
    assert min(weights) < -0.1


@pytest.mark.slow
def test_the_official_validator_finds_nothing(tmp_path: Path, small_open_head: Path):
    small, large = small_head(), HeadAsset.load(small_open_head)
    still = replace(motion_of(small, 1), exp=np.zeros((1, small.n_exp), np.float32))
    still = replace(still, jaw=still.jaw[:1], global_pose=still.global_pose[:1])
    unmoving = replace(small, expdirs=np.zeros_like(small.expdirs))
    files = {
        "open": head_glb(large, [GltfScene("head", [motion_of(large, 1)])]),
        "small": head_glb(small, [GltfScene("head", [motion_of(small, 1)])]),
        "correctives": head_glb(with_correctives(small), [GltfScene("head", [motion_of(small, 1)])]),
        "scenes": head_glb(
            small, [GltfScene("a", [motion_of(small, 1), motion_of(small, 2)]), GltfScene("b", [still])]
        ),
        "unmoving": head_glb(unmoving, [GltfScene("head", [motion_of(small, 1)])]),
    }
    for name, made in files.items():
        made.write(tmp_path / f"{name}.glb")
    broken = files["small"].document["animations"][0]["samplers"][0]
    broken["output"] = broken["input"]
    files["small"].write(tmp_path / "broken.glb")
    reports = run_node("export/validate_gltf.cjs", *(str(tmp_path / f"{name}.glb") for name in [*files, "broken"]))
    for name, report in zip(files, reports[:-1], strict=True):
        issues = report["issues"]
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), (name, issues["messages"][:5])
        assert report["info"]["animationCount"] >= 1
    assert reports[-1]["issues"]["numErrors"] > 0
