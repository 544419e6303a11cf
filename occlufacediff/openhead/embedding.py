"""Landmark embedding: surface points of the open head for MediaPipe's 468 face mesh landmarks.

Heads with random identities, actions, jaw angles and poses are rendered, and MediaPipe detects landmarks in each image.
Each landmark is assigned the surface point with the smallest projection error over all images. One neutral image is
not enough: with closed lips, landmarks of one lip project to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks.normalise import CROP_PX, CROP_SCALE
from occlufacediff.rendering.mesh import SmoothNormals, shade, to_screen
from occlufacediff.rendering.vtk_renderer import VtkRenderer

Float = NDArray[np.floating]
Int = NDArray[np.int64]

N_LANDMARKS = 468


@dataclass(frozen=True)
class Renders:
    """Rendered heads and the landmarks detected in their images.

    Attributes:
        points: (N, V, 3) vertices in the screen frame, pixels.
        landmarks: (N, 468, 2) pixels.
        missed: number of further images without a detected face.
    """

    points: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    missed: int

    @property
    def to_crop(self) -> Float:
        """Scale (N,) from pixels of each image to pixels of the 224 crop."""
        size = self.landmarks.max(axis=1) - self.landmarks.min(axis=1)
        return (CROP_PX / (size.mean(axis=1) * CROP_SCALE)).astype(np.float32)


@dataclass(frozen=True)
class Embedding:
    """A surface point for each landmark.

    Attributes:
        face_idx: (468,) indices of triangles.
        b_coords: (468, 3) barycentric weights.
    """

    face_idx: Int
    b_coords: NDArray[np.float32]

    def points(self, faces: Int, vertices: Float) -> NDArray[np.float32]:
        """Points (..., 468, D) of the landmarks for ``vertices`` (..., V, D)."""
        corners = vertices[..., faces[self.face_idx], :]
        points: NDArray[np.float32] = np.einsum("...lkd,lk->...ld", corners, self.b_coords)
        return points


def draw_heads(asset: HeadAsset, count: int, size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vertices (count, V, 3) of random posed heads, in the head frame and in the screen frame of ``size`` pixels."""
    rng = np.random.default_rng(seed)
    posed, screen = [], []
    for _ in range(count):
        shape = np.zeros(asset.n_shape)
        shape[: asset.n_principal] = np.clip(rng.normal(0, 0.5, asset.n_principal), -1.5, 1.5)
        exp = _random_actions(rng, asset.expression_names)
        jaw = np.radians([20 * rng.beta(1, 1.8), rng.normal(0, 1.0), 0])
        rotation = np.radians(np.clip(rng.normal(0, (5, 9, 4)), (-12, -22, -10), (12, 22, 10)))
        vertices = vertices_numpy(asset, shape, exp[None], rotation[None], jaw[None])[0]
        face = vertices[asset.regions["face"]]
        low, high = face.min(axis=0), face.max(axis=0)
        scale = 1.25 / (high - low)[:2].max() * rng.uniform(0.85, 1.1)
        cam = np.append(scale, -(low + high)[:2] / 2 + rng.normal(0, 0.004, 2))
        posed.append(vertices)
        screen.append(to_screen(vertices, cam, size, size))
    return np.stack(posed), np.stack(screen)


def find_landmarks(asset: HeadAsset, count: int, size: int, seed: int) -> Renders:
    """Render ``count`` random heads and detect MediaPipe's face mesh in each image, without tracking.

    Raises:
        AssetError: the asset has no vertex colours.
    """
    from mediapipe.python.solutions.face_mesh import FaceMesh

    if asset.vertex_colors is None:
        raise AssetError(f"head model {asset.name!r}: no vertex_colors; rendering needs them")
    posed, screen = draw_heads(asset, count, size, seed)
    rng = np.random.default_rng([seed, 1])
    normals = SmoothNormals(asset.faces, asset.n_vertices)
    renderer = VtkRenderer(size, size, asset.faces, samples=4)
    kept, landmarks = [], []
    with FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as detector:
        for vertices, points in zip(posed, screen, strict=True):
            tint = rng.uniform(0.55, 1.1) * rng.uniform(0.92, 1.08, 3)
            colours = np.clip(asset.vertex_colors * tint, 0, 255).astype(np.uint8)
            background = np.full((size, size, 3), rng.integers(40, 190, 3), dtype=np.uint8)
            image = renderer.render(points, shade(colours, normals(vertices)), background)
            found = detector.process(image).multi_face_landmarks
            kept.append(bool(found))
            if found:
                landmarks.append([(point.x * size, point.y * size) for point in found[0].landmark[:N_LANDMARKS]])
    return Renders(screen[np.array(kept)], np.array(landmarks, dtype=np.float32), count - sum(kept))


def embed(faces: Int, candidates: Int, renders: Renders) -> Embedding:
    """Find for each landmark the surface point with the smallest mean projection error over all renders.

    A coarse search minimises the mean squared error over 10 points of each candidate triangle with one matrix product.
    A fine search minimises the mean distance over a finer grid on the best triangles.

    Args:
        faces: (F, 3) triangles.
        candidates: indices of the triangles that can hold landmarks.
        renders: rendered heads with detected landmarks.
    """
    weights = np.sqrt(renders.to_crop)[:, None, None]
    targets = renders.landmarks * weights
    coarse = _grid(4)
    corners = (renders.points[..., :2] * weights)[:, faces[candidates]]
    points = np.einsum("nfkd,gk->fgnd", corners, coarse).reshape(len(candidates) * len(coarse), -1)
    desired = targets.transpose(1, 0, 2).reshape(N_LANDMARKS, -1)
    # |a - b|^2 = |a|^2 - 2 ab + |b|^2, relative to the centre to keep the precision of float32.
    centre = desired.mean(axis=0)
    points, desired = points - centre, desired - centre
    cost = (points**2).sum(axis=1)[:, None] - 2 * points @ desired.T
    best = np.argsort(cost, axis=0)[:24]
    fine = _grid(12)
    face_idx, b_coords = np.empty(N_LANDMARKS, np.int64), np.empty((N_LANDMARKS, 3), np.float32)
    for landmark in range(N_LANDMARKS):
        chosen = np.unique(best[:, landmark] // len(coarse))
        near = np.einsum("nfkd,gk->nfgd", corners[:, chosen], fine)
        distance = np.linalg.norm(near - targets[:, landmark][:, None, None], axis=-1).mean(axis=0)
        face, point = np.unravel_index(distance.argmin(), distance.shape)
        face_idx[landmark], b_coords[landmark] = candidates[chosen[face]], fine[point]
    return Embedding(face_idx, b_coords)


def errors(faces: Int, embedding: Embedding, renders: Renders) -> NDArray[np.float32]:
    """Distance (N, 468) between projected and detected landmarks, pixels of the 224 crop."""
    projected = embedding.points(faces, renders.points[..., :2])
    distance: NDArray[np.float32] = np.linalg.norm(projected - renders.landmarks, axis=-1)
    return distance * renders.to_crop[:, None]


def _random_actions(rng: np.random.Generator, names: tuple[str, ...]) -> Float:
    """Random actions (E,) in [0, 0.7], mostly 0 and mostly symmetric."""
    values = np.where(rng.random(len(names)) < 0.25, rng.uniform(0, 0.7, len(names)), 0.0)
    for number, name in enumerate(names):
        if name.endswith("Right") and name.removesuffix("Right") + "Left" in names and rng.random() < 0.8:
            values[number] = values[names.index(name.removesuffix("Right") + "Left")]
        if name.startswith("eyeBlink") and rng.random() < 0.6:
            values[number] = 0.0
    values[names.index("mouthClose")] = 0.0
    return values


def _grid(steps: int) -> NDArray[np.float32]:
    """Barycentric coordinates (G, 3) of a regular grid in the interior of a triangle."""
    first, second = np.meshgrid(np.arange(steps), np.arange(steps), indexing="ij")
    inside = first + second < steps
    a, b = (first[inside] + 1 / 3) / steps, (second[inside] + 1 / 3) / steps
    return np.stack([a, b, 1 - a - b], axis=1).astype(np.float32)
