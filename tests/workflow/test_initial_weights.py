"""Training with the preset `published` needs wav2vec2's weights: the plan refuses a configuration without them."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from snakemake.utils import update_config
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC
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


REMEDY = "give another file as denoiser.wav2vec2.weights, or set the sizes of this one in denoiser.wav2vec2."
#: Sizes of a small wav2vec2.
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


def inputs_with(path: Path, **sizes: Any) -> list[str]:
    return wav2vec2_inputs(configured({"preset": "published", "wav2vec2": {"weights": str(path)} | sizes}))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"hidden": 1024}, "entry 'wav2vec2.feature_projection.projection.weight' has shape (1024, 512), needs (768,"),
        ({"layers": 11}, "entry 'wav2vec2.encoder.layers.11.attention.q_proj.weight' is missing, needs shape (768,"),
        ({"layers": 24}, "entry 'wav2vec2.encoder.layers.12."),
    ],
)
def test_weights_of_another_size_are_refused(tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    path = tmp_path / "model.safetensors"
    write_wav2vec2(path)
    assert inputs_with(path) == [str(path)]
    write_wav2vec2(path, **sizes)
    with pytest.raises(ConfigError, match=re.escape(f"denoiser.wav2vec2.weights: {path}: {message}")) as caught:
        inputs_with(path)
    assert str(caught.value).endswith(REMEDY)
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="damaged or not a safetensors file"):
        inputs_with(path)


@pytest.fixture(scope="module")
def speech_recogniser() -> dict[str, torch.Tensor]:
    """Entries of a small model for speech recognition by transformers."""
    return Wav2Vec2ForCTC(Wav2Vec2Config(**SMALL, vocab_size=32)).state_dict()


@pytest.mark.parametrize("new_format", [True, False])
def test_a_bin_file_is_checked_too(
    tmp_path: Path, speech_recogniser: dict[str, torch.Tensor], new_format: bool
) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(speech_recogniser, path, _use_new_zipfile_serialization=new_format)
    assert inputs_with(path, **SMALL) == inputs_with(tmp_path, **SMALL) == [str(path)]
    with pytest.raises(ConfigError) as caught:
        inputs_with(path)
    entry = "entry 'wav2vec2.feature_extractor.conv_layers.0.conv.weight' has shape (8, 1, 10), needs (512, 1, 10)"
    assert str(caught.value) == f"Configuration, denoiser.wav2vec2.weights: {path}: {entry}; {REMEDY}"
    with pytest.raises(ConfigError, match=r"pos_conv_embed.* has shape \(16, 8, 4\), needs \(16, 8, 6\)|\(1, 1, 6\)"):
        inputs_with(path, **SMALL | {"num_conv_pos_embeddings": 6})

    whole, harm = path.read_bytes(), tmp_path / "harm"
    pickled = io.BytesIO()
    torch.save(speech_recogniser | {"harm": Harm(harm)}, pickled, _use_new_zipfile_serialization=new_format)
    for content, words in (
        (whole[: len(whole) // 2], "cut short"),
        (whole[:-100], "cut short"),
        (b"<!DOCTYPE html><title>Log in</title>", "a web page, not a model"),
        (pickle.dumps(Harm(harm)), "refused: .* could run code"),
        (pickled.getvalue(), "refused: .* could run code"),
        (b"", "not a readable torch checkpoint"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"denoiser.wav2vec2.weights: .*pytorch_model.bin: .*{words}") as caught:
            inputs_with(path, **SMALL)
        assert "\n" not in str(caught.value)
    assert not harm.exists()


class Harm:
    """An object whose pickle would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_the_start_reads_a_bin_file_without_torch(tmp_path: Path, speech_recogniser: dict[str, torch.Tensor]) -> None:
    """Importing torch would make every start of Snakemake seconds longer."""
    torch.save(speech_recogniser, tmp_path / "pytorch_model.bin")
    program = (
        "import sys; from pathlib import Path\n"
        "import occlufacediff.workflow.initial_weights\n"
        "from occlufacediff.models.wav2vec2_entries import entry_shapes\n"
        f"assert len(entry_shapes(Path({str(tmp_path / 'pytorch_model.bin')!r}))) == {len(speech_recogniser)}\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


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
    (tmp_path / "pytorch_model.bin").touch()
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
    write_wav2vec2(Path(asset_file), hidden=1024)
    with pytest.raises(ConfigError, match=r"has shape \(1024, 512\)"):
        of("resources/licensed/wav2vec2")


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
