"""The target open_weights: what it plans, that no other target plans it, the whole way, and what reruns."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_tree import Tree, copy_workflow

from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

WEIGHTS = Path("results/open_weights/weights")
SHARDS = 2
TRAINING = {"train_open_denoiser": 1, "pack_open_weights": 1}
PACKING = {"pack_open_face": SHARDS, "pack_open_audio": SHARDS}
ALL = {"generate_landmark_clips": SHARDS, "list_landmark_clips": 1, "train_open_motion_prior": 1} | PACKING | TRAINING


def planned(tree: Tree, *arguments: str, config: str | None = None) -> dict[str, int]:
    plan = tree.plan("open_weights", *arguments, config=config)
    return {name: count for name, count in plan.items() if name != "open_weights"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree in which the target was made; not to be changed."""
    tree = copy_workflow(tmp_path_factory.mktemp("open"))
    result = tree.run("open_weights")
    assert result.returncode == 0, result.stdout[-6000:]
    return tree


@pytest.fixture
def open_tree(made: Tree, tmp_path: Path) -> Tree:
    """A copy of it, times of files included."""
    shutil.copytree(made.folder, tmp_path / "tree")
    return Tree(tmp_path / "tree")


def test_open_weights_need_the_head_and_no_data_set(bare):
    assert planned(bare) == {"build_open_head": 1} | ALL


def test_the_report_needs_no_open_weights(bare):
    assert not {*ALL, "open_weights"} & set(bare.plan())


@pytest.mark.long
def test_the_whole_way_and_what_reruns(open_tree):
    tree = open_tree
    folder = tree.folder / WEIGHTS
    assert "float16" in (folder / "MODEL_CARD.md").read_text()
    prior, info = load_motion_prior(folder / "motion_prior")
    denoiser, _ = load_denoiser(folder / "denoiser")
    assert denoiser.config.latent_dim == prior.config.latent_dim
    assert info.training["settings"]["loop"]["max_steps"] == 3
    assert sum(path.stat().st_size for path in folder.rglob("*.*")) < 20_000_000
    for rule in ALL:
        logs = [path for path in (tree.folder / "logs/tiny").rglob("*") if rule in path.as_posix()]
        assert {".log", ".tsv"} <= {path.suffix for path in logs}, rule

    assert planned(tree) == {}
    # The data set has nothing to do with them, and where it runs neither.
    assert planned(tree, config=tree.override("{crop: {scale: 1.6}, dataset: tiny, device: cpu}")) == {}
    changes = {
        "denoiser: {loop: {max_steps: 4}}": TRAINING,
        "motion_prior: {kl_weight: 0.001}": {"train_open_motion_prior": 1} | TRAINING,
        "clips: {idle_motion: 0.2}": ALL,
    }
    for change, follows in changes.items():
        assert planned(tree, config=tree.override(f"open_weights: {{{change}}}")) == follows, change
    figures = tree.folder / "occlufacediff/weights/real_clips.csv"
    figures.write_text("denoiser_sha256,hidden,frames\n000000000000,mouth,all\n")
    assert planned(tree) == {"pack_open_weights": 1}


@pytest.mark.long
def test_a_lost_shard_comes_back_with_the_same_bytes(open_tree):
    tree = open_tree
    shard = tree.folder / "results/open_weights/shards/shard_001.h5"
    before = shard.read_bytes()
    shard.unlink()
    assert tree.run(str(shard.relative_to(tree.folder))).returncode == 0
    assert shard.read_bytes() == before
    assert planned(tree) == {}
