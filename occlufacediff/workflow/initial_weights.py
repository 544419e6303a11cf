"""Initial weights that a training reads besides its data: files of the user, checked before the first job."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from occlufacediff.acquire.sources import asset
from occlufacediff.acquire.terms import demand_consent
from occlufacediff.config.published_recipe import NO_WAV2VEC2_WEIGHTS, RANDOM, Wav2Vec2Settings
from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError

#: Folder of the asset that the target `fetch` downloads.
FETCHED_WAV2VEC2 = Path("resources/licensed/wav2vec2")
#: Names of the weights file in a folder.
FILES = ("model.safetensors", "pytorch_model.bin")


def wav2vec2_inputs(config: Config) -> list[str]:
    """Files of wav2vec2 that training of the denoiser reads: none, the user's file, or the index of the fetched asset.

    Raises:
        ConfigError: the preset ``published`` without initial weights, a path at which there are none, or the fetched
            asset before it is fetched and without its terms accepted, or weights of another size.
    """
    settings = config.denoiser.wav2vec2
    if config.denoiser.preset != "published" or settings.weights == RANDOM or config.run.init_from is not None:
        return []
    if settings.weights is None:
        raise ConfigError(f"Configuration, {NO_WAV2VEC2_WEIGHTS}.")
    path = Path(settings.weights)
    if FETCHED_WAV2VEC2 in (path, *path.parents):
        index = FETCHED_WAV2VEC2 / "index.csv"
        if not index.is_file():
            terms = sorted({name for file in asset(config.download, "wav2vec2").values() for name in file.terms})
            demand_consent(terms, config.download.accept_terms, "denoiser.wav2vec2.weights")
        return [str(index)]
    for file in (path, *(path / name for name in FILES)):
        if file.is_file():
            if file.suffix == ".safetensors":
                _check_sizes(file, settings)
            return [str(file)]
    raise ConfigError(
        f"Configuration, denoiser.wav2vec2.weights: there are no weights at {path}; give the file of "
        f"wav2vec2-base-960h, a folder with {' or '.join(FILES)}, {FETCHED_WAV2VEC2} (see docs/training.md), or "
        "'random'."
    )


def _check_sizes(file: Path, sizes: Wav2Vec2Settings) -> None:
    """Compare the main sizes in the header of a safetensors file; the training compares every entry."""
    layers = "encoder.layers"
    wanted = {
        "feature_projection.projection.weight": (sizes.hidden_size, sizes.conv_dim[-1]),
        f"{layers}.0.feed_forward.intermediate_dense.weight": (sizes.intermediate_size, sizes.hidden_size),
        f"{layers}.{sizes.num_hidden_layers - 1}.final_layer_norm.weight": (sizes.hidden_size,),
    }
    remedy = "give another file, or set the sizes of this one in denoiser.wav2vec2"
    try:
        with safe_open(str(file), "numpy") as weights:
            names = {name.removeprefix("wav2vec2."): name for name in weights.keys()}  # noqa: SIM118
            found = {name: tuple(weights.get_slice(names[name]).get_shape()) for name in wanted if name in names}
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"Configuration, denoiser.wav2vec2.weights: {file} is not a safetensors file ({error}); give another file."
        ) from None
    for name, shape in wanted.items():
        if found.get(name) != shape:
            has = f"has the shape {found[name]}" if name in found else "is missing"
            raise ConfigError(
                f"Configuration, denoiser.wav2vec2.weights: in {file} the entry '{name}' {has}, needs {shape}; "
                f"{remedy}."
            )
    if any(name.startswith(f"{layers}.{sizes.num_hidden_layers}.") for name in names):
        raise ConfigError(
            f"Configuration, denoiser.wav2vec2.weights: {file} has more than {sizes.num_hidden_layers} layers; "
            f"{remedy}."
        )
