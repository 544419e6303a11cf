"""The target occlusion_weights: what it plans, that no other target plans it, and the whole way."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_tree import copy_workflow

from occlufacediff.config.occlusion_weights import OcclusionPictures

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

ALL = {"draw_occlusion_pictures": OcclusionPictures().shards, "train_occlusion_network": 1}


def planned(tree, *, config=None) -> dict[str, int]:
    plan = tree.plan("occlusion_weights", config=config)
    return {name: count for name, count in plan.items() if name != "occlusion_weights"}


def test_they_need_the_head_and_no_data_set(bare):
    assert planned(bare) == {"build_open_head": 1} | ALL


def test_the_report_needs_none(bare):
    assert not {*ALL, "occlusion_weights"} & set(bare.plan())


def test_found_visibility_depends_on_the_packaged_network(bare):
    plan = bare.plan("preprocess", config=bare.override("visibility: {source: auto}"))
    assert plan["crop_faces"] >= 1 and not {*ALL} & set(plan)


@pytest.mark.long
def test_the_whole_way(tmp_path: Path):
    tree = copy_workflow(tmp_path)
    small = "occlusion_weights: {pictures: {faces: 8, pictures_per_face: 2, hands: 4, shards: 2}, training: {steps: 3}}"
    config = tree.override(small)
    result = tree.run("occlusion_weights", config=config)
    assert result.returncode == 0, result.stdout[-6000:]
    folder = tree.folder / "results/occlusion_weights/weights"
    assert "3 steps of 32 pictures" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert (folder / "model.safetensors").stat().st_size < 5_000_000
    assert planned(tree, config=config) == {}
    longer = tree.override(small.replace("steps: 3", "steps: 4"))
    assert planned(tree, config=longer) == {"train_occlusion_network": 1}
