"""Rendering of synthetic clips: poses, lights and rasterises the head frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, vertices_numpy
from occlufacediff.rendering.mesh import SmoothNormals, shade, to_screen
from occlufacediff.rendering.renderer import make_renderer
from occlufacediff.synthetic.appearance import Appearance
from occlufacediff.synthetic.behaviour import smooth_noise
from occlufacediff.synthetic.clip import SyntheticClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.visibility.moving import PaintedOccluder

#: Standard deviation of the lens blur in pixels. It hides aliasing at a tenth of the cost of anti-aliasing.
_LENS_BLUR = 0.6
_BLOCK = 32  # frames posed at once


class ClipRenderer:
    """Renders the clips of one subject. Keeps the render window and the tables of the mesh between clips."""

    def __init__(self, asset: HeadAsset, appearance: Appearance) -> None:
        """Create a renderer of the head ``asset`` with an ``appearance``."""
        size = appearance.background.shape[0]
        self.appearance = appearance
        self._asset, self._size = asset, size
        self._renderer = make_renderer(size, size, asset.faces)
        self._normals = SmoothNormals(asset.faces, asset.n_vertices)

    def frames(
        self,
        clip: SyntheticClip,
        exp: NDArray[np.float32],
        camera: NDArray[np.float32],
        occluder: PaintedOccluder | None = None,
    ) -> Iterator[NDArray]:
        """Yield the images (H, W, 3) uint8 of a clip.

        Args:
            clip: its ``jaw`` and ``global_pose`` are used.
            exp: (T, E) expression of the clip, columns in the order of the asset.
            camera: (T, 3) ``[s, tx, ty]``, which projects to the full image.
            occluder: painted before the face; None: nothing hides it.
        """
        appearance, size = self.appearance, self._size
        for number, (vertices, cam) in enumerate(zip(self._posed(clip, exp), camera, strict=True)):
            lit = shade(appearance.colours, self._normals(vertices), appearance.lights, appearance.ambient)
            image = self._renderer.render(to_screen(vertices, cam, size, size), lit, appearance.background)
            if occluder is not None:
                image = occluder.paint(image, number)
            yield cv2.GaussianBlur(image, (3, 3), _LENS_BLUR)

    def landmarks(
        self, clip: SyntheticClip, exp: NDArray[np.float32], camera: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """True landmarks (T, 468, 2) of a clip, pixels of the image; NaN for those that the head does not have."""
        points = np.full((len(exp), MESH_POINTS, 2), np.nan, np.float32)
        for number, (vertices, cam) in enumerate(zip(self._posed(clip, exp), camera, strict=True)):
            there = to_screen(landmarks_numpy(self._asset, vertices[None]), cam[None], self._size, self._size)
            points[number, self._asset.landmark_indices] = there[0, :, :2]
        return points

    def _posed(self, clip: SyntheticClip, exp: NDArray[np.float32]) -> Iterator[NDArray]:
        """Vertices (V, 3) of each frame."""
        for start in range(0, len(exp), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield from vertices_numpy(
                self._asset, self.appearance.shape, exp[block], clip.global_pose[block], clip.jaw[block]
            )


def camera_path(clip: SyntheticClip, appearance: Appearance, seed: int) -> NDArray[np.float32]:
    """Camera (T, 3) ``[s, tx, ty]`` of the full image, with a slow drift of scale and translation."""
    rng = rng_for(seed, clip.clip_id, "camera")
    times = np.arange(len(clip.exp)) / clip.fps
    drift = np.stack([smooth_noise(rng, times, low=0.1, high=0.7, n=8) for _ in range(3)], axis=1)
    scale = appearance.scale * (1 + 0.015 * drift[:, 0])
    return np.column_stack([scale, appearance.shift + 0.003 * drift[:, 1:]]).astype(np.float32)
