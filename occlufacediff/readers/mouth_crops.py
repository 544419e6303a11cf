"""Mouth crops of a rendered head, as lip readers expect them, and the full faces that SyncNet expects.

The steps are those of the published evaluation and of SPECTRE (arXiv 2207.11094): the head is rendered over black in
the 224 x 224 crop, the landmarks are smoothed over time, and 96 x 96 pixels around the lips are cut out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.head.asset import HeadAsset
from occlufacediff.rendering.mesh import Float, SmoothNormals, shade, to_screen
from occlufacediff.rendering.renderer import Renderer, make_renderer

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]

#: Edge of the rendered crop, of the mouth crop and of its centre that a reader sees, in pixels.
CROP, MOUTH, CENTRE = 224, 96, 88
#: Frames of the box filter over the landmarks: i - 6 to i + 5.
BEFORE, AFTER = 6, 5
#: Mean and standard deviation of grey values in AV-HuBERT's input.
MEAN, DEVIATION = 0.421, 0.165
#: Colour of heads without vertex colours.
_SKIN = (198, 150, 116)
#: Landmarks of the published evaluation: brows, eyes, nose and lips.
POINTS = tuple(
    dict.fromkeys((*face_mesh.EYES_AND_BROWS, *face_mesh.LIPS, 168, 6, 197, 195, 5, 4, 129, 98, 97, 2, 326, 327, 358))
)


class HeadPictures:
    """Renders a head with its colours over black, 224 x 224 pixels. Keeps its render window between clips."""

    def __init__(self, asset: HeadAsset) -> None:
        """Create it for a head model.

        Raises:
            AssetError: VTK finds no off-screen OpenGL.
        """
        colours = asset.vertex_colors
        self._colours = np.full((asset.n_vertices, 3), _SKIN, np.uint8) if colours is None else colours
        self._normals = SmoothNormals(asset.faces, asset.n_vertices)
        self._renderer: Renderer = make_renderer(CROP, CROP, asset.faces)

    def __call__(self, vertices: Float, cam: Float) -> Bytes:
        """Pictures (T, 224, 224, 3) of vertices (T, V, 3) with the crop's cameras (T, 3)."""
        pictures = np.empty((len(vertices), CROP, CROP, 3), np.uint8)
        for number, (points, camera) in enumerate(zip(vertices, cam, strict=True)):
            lit = shade(self._colours, self._normals(points))
            pictures[number] = self._renderer.render(to_screen(points, camera, CROP, CROP), lit)
        return pictures


def smoothed_landmarks(landmarks: Float) -> NDArray[np.float64]:
    """Landmarks (T, L, 2), averaged over the frames i - 6 to i + 5; each frame keeps its centroid.

    The first and the last frame are repeated beyond the ends.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    padded = np.pad(points, ((BEFORE, AFTER), (0, 0), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0)
    width = BEFORE + AFTER + 1
    mean = (total[width:] - total[:-width]) / width
    return np.asarray(mean - mean.mean(axis=1, keepdims=True) + points.mean(axis=1, keepdims=True))


def mouth_centres(landmarks_2d: Float, indices: NDArray[np.integer]) -> NDArray[np.float64]:
    """Centres (T, 2) of the mouth crops in pixels of the 224 x 224 crop.

    Args:
        landmarks_2d: (T, L, 2) the head's landmarks in crop coordinates [-1, 1].
        indices: (L,) their numbers among the face mesh points.
    """
    place = {int(point): row for row, point in enumerate(indices)}
    rows = [place[point] for point in POINTS if point in place]
    lips = [number for number, row in enumerate(rows) if int(indices[row]) in face_mesh.LIPS]
    pixels = (np.asarray(landmarks_2d, dtype=np.float64)[:, rows] + 1) * (CROP / 2)
    return np.asarray(smoothed_landmarks(pixels)[:, lips].mean(axis=1))


def mouth_crops(pictures: Bytes, centres: NDArray[np.floating]) -> Bytes:
    """Grey mouth crops (T, 96, 96) of pictures (T, 224, 224, 3), bicubic, black outside the picture."""
    crops = np.empty((len(pictures), MOUTH, MOUTH), np.uint8)
    for number, (picture, centre) in enumerate(zip(pictures, centres, strict=True)):
        shift = (MOUTH - 1) / 2 - (np.asarray(centre, dtype=np.float64) - 0.5)
        matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        crops[number] = cv2.warpAffine(grey, matrix, (MOUTH, MOUTH), flags=cv2.INTER_CUBIC)
    return crops


def reader_input(crops: Bytes) -> Float32:
    """Input (1, T, 1, 88, 88) of a lip reader: the centre of grey crops (T, 96, 96), (x / 255 - 0.421) / 0.165."""
    edge = (MOUTH - CENTRE) // 2
    centre = crops[:, edge : edge + CENTRE, edge : edge + CENTRE].astype(np.float32)
    return ((centre / 255 - MEAN) / DEVIATION).astype(np.float32)[None, :, None]
