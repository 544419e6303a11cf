"""The mapping to ARKit weights that the configuration names, checked when the run starts."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.config.schema import Config
from occlufacediff.errors import AssetError, ConfigError


def check_mapping(config: Config) -> None:
    """Refuse a mapping that the prediction cannot use, before any clip is processed.

    Raises:
        ConfigError: the file is missing or no mapping, does not fit the head model, or the head model needs none.
        AssetError: it names another head model.
    """
    given = config.prediction.arkit_mapping
    if given is None:
        return
    about = f"Configuration, prediction.arkit_mapping: {given}"
    if config.prediction.weights == "open" or config.head is None:
        because = "prediction.weights is 'open'" if config.prediction.weights == "open" else "head is null"
        raise ConfigError(
            f"{about}: {because}, so the open head predicts, and its coefficients are ARKit weights already; set "
            "prediction.arkit_mapping to null, or give the head model of the mapping as head."
        )
    # Only a run with a mapping waits for numpy and scipy.
    from occlufacediff.export.arkit_mapping import read_mapping
    from occlufacediff.head.asset import HeadAsset

    try:
        head = HeadAsset.load(config.head)
    except AssetError as error:
        raise ConfigError(f"Configuration, head: {error}") from None
    read_mapping(Path(given), head, about)
