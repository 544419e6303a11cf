"""A drawn clip as pictures: the head posed, lit and rendered frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.rendering.mesh import SmoothNormals, shade, to_screen
from occlufacediff.rendering.renderer import make_renderer
from occlufacediff.synthetic.behaviour import smooth_noise
from occlufacediff.synthetic.clip import SyntheticClip
from occlufacediff.synthetic.faces import Look
from occlufacediff.synthetic.seeding import rng_for

#: Softness of the lens, pixels: hides the renderer's hard edges, at a tenth of the cost of smoothing them.
_LENS = 0.6
_PIECE = 32  # frames posed at once


class ClipRenderer:
    """Renders clips of one subject; keeps its window and the tables of its mesh."""

    def __init__(self, asset: HeadAsset, look: Look) -> None:
        """Set up for the head ``asset`` with the appearance ``look``."""
        size = look.background.shape[0]
        self.look = look
        self._asset, self._size = asset, size
        self._renderer = make_renderer(size, size, asset.faces)
        self._normals = SmoothNormals(asset.faces, asset.n_vertices)

    def frames(self, clip: SyntheticClip, exp: NDArray[np.float32], camera: NDArray[np.float32]) -> Iterator[NDArray]:
        """Pictures (H, W, 3) uint8 of a clip, one at a time.

        Args:
            clip: supplies ``jaw`` and ``global_pose``.
            exp: (T, E) its expression in the asset's order.
            camera: (T, 3) ``[s, tx, ty]`` into the whole picture.
        """
        look, size = self.look, self._size
        for start in range(0, len(exp), _PIECE):
            piece = slice(start, start + _PIECE)
            posed = vertices_numpy(self._asset, look.shape, exp[piece], clip.global_pose[piece], clip.jaw[piece])
            for vertices, cam in zip(posed, camera[piece], strict=True):
                lit = shade(look.colours, self._normals(vertices), look.lights, look.ambient)
                picture = self._renderer.render(to_screen(vertices, cam, size, size), lit, look.background)
                yield cv2.GaussianBlur(picture, (3, 3), _LENS)


def camera_of(clip: SyntheticClip, look: Look, seed: int) -> NDArray[np.float32]:
    """Camera (T, 3) ``[s, tx, ty]`` into the whole picture: the head drifts a little, near and far too."""
    rng = rng_for(seed, clip.clip_id, "camera")
    times = np.arange(len(clip.exp)) / clip.fps
    drift = np.stack([smooth_noise(rng, times, low=0.1, high=0.7, n=8) for _ in range(3)], axis=1)
    scale = look.scale * (1 + 0.015 * drift[:, 0])
    return np.column_stack([scale, look.shift + 0.003 * drift[:, 1:]]).astype(np.float32)
