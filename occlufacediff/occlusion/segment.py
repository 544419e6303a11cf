"""Segments the visible face on the crop with MediaPipe's image segmenter."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import AssetError
from occlufacediff.files import file_version
from occlufacediff.landmarks.native_output import filter_native_output
from occlufacediff.landmarks.normalise import CROP_PX

#: Confidence from which a pixel belongs to the only category of a single-category model.
MIN_CONFIDENCE = 0.5

Mask = NDArray[np.bool_]


class Segmenter:
    """A loaded segmentation model.

    A pixel belongs to the category with the highest confidence. With a single-category model (person or not), it
    belongs to the category if the confidence is at least 0.5.

    Args:
        settings: the model and the categories of visible face.

    Raises:
        AssetError: the model is missing, damaged, not a segmentation model, or lacks a category.
    """

    def __init__(self, settings: VisibilitySettings) -> None:
        self._path = Path(settings.model or "")
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise AssetError(
                f"visibility.model: {self._path} cannot be read ({error.strerror}); use a segmentation model (.tflite)"
            ) from error
        self._network, self._image = _load(content, self._path)
        outputs = self._outputs(np.zeros((CROP_PX, CROP_PX, 3), np.uint8))
        labels: list[str] = list(self._network.labels)
        if len(outputs) == 1 and (outputs.min() < 0 or outputs.max() > 1):
            raise AssetError(
                f"visibility.model: {self._path} is not a segmentation model: its only output ranges from "
                f"{outputs.min():g} to {outputs.max():g}, confidences range from 0 to 1"
            )
        self._visible = _category_indices(settings.visible, labels, len(outputs), self._path)
        edge = 2 * settings.margin_px + 1
        self._margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))

    def occluded_pixels(self, crop: NDArray[np.uint8]) -> Mask:
        """(224, 224) True where the crop (224, 224, 3) RGB shows no visible face."""
        outputs = self._outputs(crop)
        face = outputs[0] >= MIN_CONFIDENCE if len(outputs) == 1 else np.isin(outputs.argmax(axis=0), self._visible)
        return cv2.dilate(face.astype(np.uint8), self._margin) == 0

    def _outputs(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Confidences (categories, 224, 224) of a crop."""
        result = self._network.segment(self._image(np.ascontiguousarray(crop)))
        return np.stack([np.asarray(one.numpy_view(), np.float32) for one in result.confidence_masks])


def segmenter(settings: VisibilitySettings) -> Segmenter:
    """The segmenter of these settings, loaded once per process and model file: loading takes as long as a clip."""
    model = settings.model
    return _load_segmenter(settings, file_version(model) if model else None)


@cache
def _load_segmenter(settings: VisibilitySettings, version: tuple[Path, int, int] | None) -> Segmenter:
    return Segmenter(settings)


def _load(content: bytes, path: Path) -> tuple[Any, Any]:
    """The network, and the function that wraps an image for it."""
    filter_native_output()
    import mediapipe
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions

    options = ImageSegmenterOptions(
        # Passed as bytes: native code would open a path, and its errors do not name the configuration key.
        base_options=BaseOptions(model_asset_buffer=content),
        output_confidence_masks=True,
        output_category_mask=False,
    )
    try:
        with warnings.catch_warnings():
            # MediaPipe calls a deprecated protobuf function.
            warnings.simplefilter("ignore", UserWarning)
            network = ImageSegmenter.create_from_options(options)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise AssetError(
            f"visibility.model: {path} is not a segmentation model that MediaPipe can load ({reason}); use a model "
            "with one confidence output per category (.tflite), such as selfie_multiclass_256x256.tflite"
        ) from error

    def image(pixels: NDArray[np.uint8]) -> Any:
        return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)

    return network, image


def _category_indices(wanted: tuple[str, ...], labels: list[str], count: int, path: Path) -> list[int]:
    """Indices of the categories of visible face."""
    named = len(labels) == count
    names = labels if named else [str(number) for number in range(count)]
    choices = "its categories are" if named else "it has no category names, use the indices"
    for name in wanted:
        if name not in names:
            raise AssetError(f"visibility.visible: {path} has no category {name!r}; {choices} {', '.join(names)}")
    return [names.index(name) for name in wanted]
