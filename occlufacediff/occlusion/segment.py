"""What a segmentation model calls face on the crop, by MediaPipe's image segmenter."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import AssetError
from occlufacediff.landmarks.native_output import silence_native_output
from occlufacediff.landmarks.normalise import CROP_PX

#: From this confidence on, a pixel is of the category of a model that knows one only.
SURE = 0.5

Mask = NDArray[np.bool_]


class Segmenter:
    """A segmentation model, loaded once.

    A pixel is of the most confident category; with a model of one category (a person, or not) it is where that is
    at least 0.5 confident.

    Args:
        settings: names the model and the categories that are visible face.

    Raises:
        AssetError: the model is missing, damaged or no segmentation model, or has no such category.
    """

    def __init__(self, settings: VisibilitySettings) -> None:
        self._path = Path(settings.model or "")
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise AssetError(
                f"visibility.model: {self._path} cannot be read ({error.strerror}); give a segmentation model (.tflite)"
            ) from error
        with silence_native_output():
            self._network, self._image = _load(content, self._path)
            outputs = self._outputs(np.zeros((CROP_PX, CROP_PX, 3), np.uint8))
        labels: list[str] = list(self._network.labels)
        if len(outputs) == 1 and (outputs.min() < 0 or outputs.max() > 1):
            raise AssetError(
                f"visibility.model: {self._path} is no segmentation model: its only output reaches from "
                f"{outputs.min():g} to {outputs.max():g}, confidences are from 0 to 1"
            )
        self._visible = _numbers(settings.visible, labels, len(outputs), self._path)
        edge = 2 * settings.margin_px + 1
        self._margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))

    def hidden(self, crop: NDArray[np.uint8]) -> Mask:
        """(224, 224) True where the crop (224, 224, 3) RGB shows something else than visible face."""
        outputs = self._outputs(crop)
        face = outputs[0] >= SURE if len(outputs) == 1 else np.isin(outputs.argmax(axis=0), self._visible)
        return cv2.dilate(face.astype(np.uint8), self._margin) == 0

    def _outputs(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Confidences (categories, 224, 224) of a crop."""
        result = self._network.segment(self._image(np.ascontiguousarray(crop)))
        return np.stack([np.asarray(one.numpy_view(), np.float32) for one in result.confidence_masks])


@cache
def segmenter(settings: VisibilitySettings) -> Segmenter:
    """One segmenter a process: loading takes as long as a clip."""
    return Segmenter(settings)


def _load(content: bytes, path: Path) -> tuple[Any, Any]:
    """The network, and the function that wraps a picture for it."""
    # Must stand before the import: the library reads them once.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import mediapipe
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions

    options = ImageSegmenterOptions(
        # As content: a path would be opened by native code, whose errors name no key.
        base_options=BaseOptions(model_asset_buffer=content),
        output_confidence_masks=True,
        output_category_mask=False,
    )
    try:
        with warnings.catch_warnings():
            # Its own use of protobuf.
            warnings.simplefilter("ignore", UserWarning)
            network = ImageSegmenter.create_from_options(options)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise AssetError(
            f"visibility.model: {path} is no segmentation model that MediaPipe can load ({reason}); give one with "
            "an output of confidences a category (.tflite), such as selfie_multiclass_256x256.tflite"
        ) from error

    def image(picture: NDArray[np.uint8]) -> Any:
        return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)

    return network, image


def _numbers(wanted: tuple[str, ...], labels: list[str], count: int, path: Path) -> list[int]:
    """Numbers of the categories that are visible face."""
    names = labels if len(labels) == count else [str(number) for number in range(count)]
    for name in wanted:
        if name not in names:
            raise AssetError(
                f"visibility.visible: {path} has no category {name!r}; "
                f"{'its categories are' if names is labels else 'it names none, their numbers are'} {', '.join(names)}"
            )
    return [names.index(name) for name in wanted]
