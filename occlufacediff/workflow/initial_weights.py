"""Initial weights that a training reads besides its data: files of the user, checked before the first job."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.acquire.sources import asset
from occlufacediff.acquire.terms import demand_consent
from occlufacediff.config.published_recipe import NO_WAV2VEC2_WEIGHTS, RANDOM, Wav2Vec2Settings
from occlufacediff.config.schema import Config
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.models.wav2vec2_entries import FILES, check_sizes

#: Folder of the asset that the target `fetch` downloads.
FETCHED_WAV2VEC2 = Path("resources/licensed/wav2vec2")


def wav2vec2_inputs(config: Config) -> list[str]:
    """Files of wav2vec2 that training of the denoiser reads: none, the user's file, or the index of the fetched asset.

    Raises:
        ConfigError: the preset ``published`` without initial weights, a path at which there are none, or the fetched
            asset before it is fetched and without its terms accepted; a file that is damaged or unsafe, or whose
            entries are not those of the configured sizes.
    """
    settings = config.denoiser.wav2vec2
    if config.denoiser.preset != "published" or settings.weights == RANDOM or config.run.init_from is not None:
        return []
    if settings.weights is None:
        raise ConfigError(f"Configuration, {NO_WAV2VEC2_WEIGHTS}.")
    path = Path(settings.weights)
    index = FETCHED_WAV2VEC2 / "index.csv" if FETCHED_WAV2VEC2 in (path, *path.parents) else None
    if index is not None and not index.is_file():
        terms = sorted({name for file in asset(config.download, "wav2vec2").values() for name in file.terms})
        demand_consent(terms, config.download.accept_terms, "denoiser.wav2vec2.weights")
        return [str(index)]
    for file in (path, *(path / name for name in FILES)):
        if file.is_file():
            _check_file(file, settings)
            return [str(index or file)]
    if index is not None:
        return [str(index)]
    raise ConfigError(
        f"Configuration, denoiser.wav2vec2.weights: there are no weights at {path}; give the file of "
        f"wav2vec2-base-960h, a folder with {' or '.join(FILES)}, {FETCHED_WAV2VEC2} (see docs/training.md), or "
        "'random'."
    )


def _check_file(file: Path, settings: Wav2Vec2Settings) -> None:
    try:
        check_sizes(file, settings)
    except AssetError as error:
        raise ConfigError(f"Configuration, denoiser.wav2vec2.weights: {error}.") from None
