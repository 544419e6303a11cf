"""Training with the preset `published` needs wav2vec2's weights: the plan refuses a configuration without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config
from wav2vec2_stand_in import write_wav2vec2

from occlufacediff.acquire.sources import asset
from occlufacediff.acquire.terms import TERMS
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.config.load import load_config
from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.initial_weights import wav2vec2_inputs

ROOT = Path(__file__).resolve().parents[2]


def configured(denoiser: dict[str, Any], **other: Any) -> Config:
    config = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    update_config(config, {"denoiser": denoiser} | other)
    return load_config(config)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"hidden": 1024},
            r"projection.weight' has the shape \(1024, 512\), needs \(768, 512\); give another file, or",
        ),
        ({"layers": 11}, r"'encoder.layers.11.final_layer_norm.weight' is missing"),
        ({"layers": 24}, "has more than 12 layers"),
    ],
)
def test_weights_of_another_size_are_refused(tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    path = tmp_path / "model.safetensors"
    settings = configured({"preset": "published", "wav2vec2": {"weights": str(path)}})
    write_wav2vec2(path)
    assert wav2vec2_inputs(settings) == [str(path)]
    write_wav2vec2(path, **sizes)
    with pytest.raises(ConfigError, match=rf"denoiser.wav2vec2.weights: .*{message}"):
        wav2vec2_inputs(settings)
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="is not a safetensors file"):
        wav2vec2_inputs(settings)


def test_only_the_published_preset_needs_weights() -> None:
    assert wav2vec2_inputs(Config()) == []
    assert wav2vec2_inputs(configured({"preset": "published", "wav2vec2": {"weights": "random"}})) == []
    with pytest.raises(ConfigError, match=r"denoiser\.wav2vec2\.weights: got null, needs weights of wav2vec2"):
        wav2vec2_inputs(configured({"preset": "published"}))


def test_a_file_or_a_folder_or_the_fetched_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def of(path: Path | str, *accepted: str) -> list[str]:
        denoiser = {"preset": "published", "wav2vec2": {"weights": str(path)}}
        return wav2vec2_inputs(configured(denoiser, download={"accept_terms": list(accepted)}))

    with pytest.raises(ConfigError, match="there are no weights at"):
        of(tmp_path)
    file = tmp_path / "pytorch_model.bin"
    file.touch()
    assert of(file) == of(tmp_path) == [str(file)]
    write_wav2vec2(tmp_path / "model.safetensors")
    assert of(tmp_path) == [str(tmp_path / "model.safetensors")]
    index = ["resources/licensed/wav2vec2/index.csv"]
    asset_file = "resources/licensed/wav2vec2/model.safetensors"
    assert of("resources/licensed/wav2vec2", "wav2vec2") == of(asset_file, "wav2vec2") == index
    with pytest.raises(ConfigError, match=r"accept_terms: \[wav2vec2\]"):
        of(asset_file)
    # A file that is already there needs no consent to a download.
    Path(index[0]).parent.mkdir(parents=True)
    Path(index[0]).touch()
    assert of(asset_file) == index


def test_the_asset_has_its_licence() -> None:
    (remote,) = asset(DownloadSettings(), "wav2vec2").values()
    assert remote.terms == ("wav2vec2",)
    assert "Apache License 2.0" in TERMS["wav2vec2"].what


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conv_dim": [8] * 6}, r"conv_dim: got \[8, 8, 8, 8, 8, 8\], needs at least 7 entry"),
        ({"conv_dim": [8] * 8}, "conv_dim: got 8 numbers, needs 7"),
        ({"hidden_size": 100}, "num_attention_heads: got 12, needs a divisor of hidden_size"),
    ],
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configured({"preset": "published", "wav2vec2": values})
