"""The packaged network on rendered heads: clear faces stay clear, and hands and masks are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from occlufacediff import weights
from occlufacediff.config.occlusion_weights import OcclusionPictures, OcclusionTraining, OcclusionWeightsSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import new_hdf5
from occlufacediff.head.asset import HeadAsset
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.openhead.makehuman import find_data
from occlufacediff.stages.occlusion_network import CARD, measure, train_occlusion_network
from occlufacediff.stages.occlusion_pictures import draw_pictures
from occlufacediff.visibility.examples import Example, Parts, make_example
from occlufacediff.visibility.faces import FaceRenderer
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.visibility.fitting import Pictures
from occlufacediff.visibility.hand_shapes import HandRenderer, load_hand
from occlufacediff.visibility.hands import draw_hands
from occlufacediff.visibility.network import frozen, load_segmentation

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("visibility_found")]

COUNT = 24
SETTINGS = OcclusionWeightsSettings(
    seed=5,
    pictures=OcclusionPictures(faces=8, pictures_per_face=2, hands=4, shards=2),
    training=OcclusionTraining(steps=3, batch_size=4),
)


@pytest.fixture(scope="module")
def examples(small_open_head: Path) -> list[Example]:
    """Pictures of heads that the network has not seen."""
    rng = np.random.default_rng(99)
    faces, hands = FaceRenderer(HeadAsset.load(small_open_head)), HandRenderer(load_hand(find_data()))
    sprites = np.stack([hands.draw(rng) for _ in range(8)])
    drawn = []
    for _ in range(COUNT):
        face = faces.draw(rng)
        drawn.append(make_example(Parts(face.picture, face.regions, face.landmarks, face.other, sprites), rng))
    return drawn


def pictures(examples: list[Example]) -> Pictures:
    stacked = {name: np.stack([getattr(one, name) for one in examples]) for name in ("picture", "landmarks")}
    labels = [
        np.stack([255 * getattr(one, name) for one in examples]).astype(np.uint8) for name in ("visible", "weight")
    ]
    return Pictures(stacked["picture"], stacked["landmarks"], *labels)


def test_visible_and_hidden_face_are_separated(examples: list[Example]):
    network = load_segmentation(weights.occlusion_weights())
    found = measure(network, pictures(examples), seed=0)
    # A network that calls all of the face visible has a hidden IoU of 0.
    assert found.visible_iou > 0.8 and found.hidden_iou > 0.25


def test_the_frozen_network_gives_the_same_logits():
    network = load_segmentation(weights.occlusion_weights())
    values = torch.randn(1, 5, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = network(values), frozen(network)(values.to(memory_format=torch.channels_last))
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_hidden_landmarks_of_a_frame(examples: list[Example]):
    finder = OcclusionFinder()
    clear = next(one for one in examples if one.visible[one.weight > 0.5].mean() > 0.97)
    frame = np.kron(clear.picture, np.ones((2, 2, 1), np.uint8))
    box = np.array([0, 0, CROP_PX - 1], np.float32)
    seen = finder.look(frame, box, clear.landmarks)
    assert (seen < 0.5).mean() < 0.05
    # A white sheet before the lower half of the face.
    mouth = int((clear.landmarks[[6, 2], 1].mean() + 1) * CROP_PX / 2)
    frame[mouth:] = np.random.default_rng(0).integers(200, 230, (1, 1, 3))
    below = clear.landmarks[:, 1] > clear.landmarks[2, 1] + 0.05
    assert (finder.look(frame, box, clear.landmarks)[below] < 0.5).mean() > 0.8
    finder.close()


def test_hands_are_drawn_as_fingers_and_palm():
    hand = np.zeros((1, 21, 2), np.float32)
    hand[0, :, 0] = np.linspace(80, 140, 21)
    hand[0, :, 1] = np.tile([150, 120, 100], 7)
    covered = draw_hands(hand)
    assert covered.shape == (CROP_PX, CROP_PX) and 200 < covered.sum() < CROP_PX**2 / 4
    assert not draw_hands(np.zeros((0, 21, 2), np.float32)).any()


def test_pictures_and_training_repeat(small_open_head: Path, tmp_path: Path):
    shards = []
    for name in ("shard_00", "shard_01"):
        shards.append(tmp_path / f"{name}.h5")
        draw_pictures(name, small_open_head, shards[-1], settings=SETTINGS.pictures, seed=SETTINGS.seed)
    draw_pictures("shard_00", small_open_head, tmp_path / "again.h5", settings=SETTINGS.pictures, seed=SETTINGS.seed)
    assert shards[0].read_bytes() == (tmp_path / "again.h5").read_bytes() != shards[1].read_bytes()
    for folder in ("one", "two"):
        train_occlusion_network(shards, tmp_path / folder, settings=SETTINGS)
    one, two = (load_segmentation(tmp_path / folder / "model.safetensors") for folder in ("one", "two"))
    inputs = torch.zeros(1, 5, 112, 112)
    assert torch.equal(one(inputs), two(inputs))
    card = (tmp_path / "one" / CARD).read_text(encoding="utf-8")
    assert "3 steps of 4 pictures" in card and "no recording of a person" in card


def test_bad_weights_and_shards_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(AssetError, match=r"model\.safetensors: no usable weights.*snakemake occlusion_weights"):
        load_segmentation(tmp_path / "model.safetensors")
    with new_hdf5(tmp_path / "shard.h5"):
        pass
    with pytest.raises(AssetError, match=r"shard\.h5: no readable pictures"):
        train_occlusion_network([tmp_path / "shard.h5"] * 2, tmp_path, settings=SETTINGS)
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(AssetError, match=r"occlusion/model\.safetensors.*make occlusion-weights"):
        weights.occlusion_weights()
