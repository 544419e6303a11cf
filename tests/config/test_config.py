"""Configuration: valid and invalid values, error messages, and the files generated from the schema."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.document import documents, keys
from occlufacediff.config.load import RENAMED, check_settings, load_config, with_numbers
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.schema import Config
from occlufacediff.config.section import as_params, from_params
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.inputs import split_settings, subjects

FOLDER = Path(__file__).resolve().parents[2] / "config"
NAMES = [key.name for key in keys()]
DEFAULT = yaml.safe_load((FOLDER / "default.yaml").read_text())


def _with(name: str, value: object) -> dict:
    config = copy.deepcopy(DEFAULT)
    place = config
    *sections, last = name.split(".")
    for section in sections:
        place = place[section]
    place[last] = value
    return config


def _at(config: dict, name: str) -> object:
    for part in name.split("."):
        config = config[part]
    return config


def test_generated_files_are_up_to_date():
    for path, text in documents().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run `make config`"


def test_readme_explains_every_key():
    tables = re.split(r"^### ", (FOLDER / "README.md").read_text(), flags=re.M)[1:]
    texts = {heading.strip("`"): text for heading, _, text in (table.partition("\n") for table in tables)}
    explained = {
        f"{section}.{name}".removeprefix("General.")
        for section, text in texts.items()
        for name in re.findall(r"^`(\w+)` \|", text, re.M)
    } | set(texts)
    for section, other, changes in [
        (f"{section}.{name}".removeprefix("General."), other, changes)
        for section, text in texts.items()
        for name, other, changes in re.findall(r"^`(\w+)` \| \| Same keys as `([\w.]+)`(.*)$", text, re.M)
    ]:
        explained |= {
            f"{section}{key.name.removeprefix(other)}" for key in keys() if f"{key.name}.".startswith(f"{other}.")
        }
        for name, value in re.findall(r"`([\w.]+): ([^`]*)`", changes):
            assert _at(DEFAULT, f"{section}.{name}") == yaml.safe_load(value) != _at(DEFAULT, f"{other}.{name}")
    assert explained - {"General"} == set(NAMES)
    assert [key.name for key in keys() if not key.text] == []


def test_default_file_is_the_default():
    assert load_config(DEFAULT) == Config()


@pytest.mark.parametrize("name", ["tiny", "mead_sample"])
def test_other_files_hold_known_keys(name):
    from snakemake.utils import update_config

    config = copy.deepcopy(DEFAULT)
    update_config(config, yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
    if config["source"] == "local":
        config["archives"] = "somewhere"
    assert load_config(config).dataset == name


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("seed", "1", ["seed", "'1'", "integer"]),
        ("seed", -1, ["seed", "-1", "at least 0"]),
        ("seed", True, ["seed", "True"]),
        ("dataset", "a/b", ["dataset", "a/b", "letters"]),
        ("source", "internet", ["source", "'internet'", "synthetic"]),
        ("crop.scale", 0, ["crop.scale", "0", "at least 0.5"]),
        ("crop.scale", [1], ["crop.scale", "[1]", "number"]),
        ("crop", 3, ["crop", "3", "keys and values"]),
        ("evaluation.occlusions", ["mouth", "nose"], ["evaluation.occlusions", "nose", "mouth"]),
        ("denoiser.loop.max_steps", 0, ["denoiser.loop.max_steps", "0"]),
        ("open_weights.denoiser.preset", "compact", ["open_weights.denoiser.preset", "'compact'", "needs 'open'"]),
        ("open_weights.clips.clips", 150, ["open_weights.clips", "validation_shards", "fewer than all"]),
        ("open_weights.seed", -1, ["open_weights.seed", "-1", "at least 0"]),
        ("open_weights.clips.jaw_opening", -1, ["open_weights.clips.jaw_opening", "-1", "at least 0"]),
        ("evaluation.steps", 5000, ["evaluation.steps", "5000", "at most 1000"]),
        ("benchmark.steps", 5000, ["benchmark.steps", "5000", "at most 1000"]),
        ("prediction.guidance_all", 1e30, ["prediction.guidance_all", "1e+30", "at most 20"]),
        ("prediction.guidance_all", math.nan, ["prediction.guidance_all", "nan", "finite"]),
        ("prediction.adaptation.gain", -3, ["prediction.adaptation.gain", "-3", "at least 0"]),
        ("prediction.adaptation.offset", 100, ["prediction.adaptation.offset", "100", "-8 to 8"]),
        ("denoiser.noise_bias", math.inf, ["denoiser.noise_bias", "inf", "finite"]),
        ("dask.workers", 0, ["dask.workers", "0", "at least 1"]),
        ("subjects", [], ["subjects", "[]", "at least 1"]),
        ("conversion.crff", 16, ["conversion.crff", "did you mean conversion.crf"]),
        ("colour", "red", ["colour", "no such key", "dataset"]),
        ("subjects", ["M1", "../M2"], ["subjects[1]", "'../M2'", "letters"]),
        ("acquire.view", "a/b", ["acquire.view", "'a/b'", "one camera"]),
        ("report.panel_px", 65, ["report.panel_px", "65", "multiple of 2"]),
        ("evaluation.occlusion.pictures", "", ["evaluation.occlusion.pictures", "''", "at least 1"]),
        ("recordings", {}, ["recordings", "no such key", "named benchmark now"]),
        ("denoiser.augment.decoy", 0.5, ["denoiser.augment.decoy", "named denoiser.augment.mouth_swap now"]),
    ],
)
def test_wrong_value_is_named_with_its_remedy(name, value, words):
    with pytest.raises(ConfigError) as caught:
        load_config(_with(name, value))
    message = str(caught.value)
    assert "\n" not in message
    for word in [*words, "config/README.md"]:
        assert word in message


def test_the_json_schema_has_the_ranges():
    schema = json.loads((FOLDER / "schema.json").read_text())["$defs"]
    assert schema["CropSettings"]["properties"]["scale"]["minimum"] == 0.5
    assert schema["CropSettings"]["properties"]["scale"]["maximum"] == 5
    assert schema["LoopSettings"]["properties"]["learning_rate"]["exclusiveMinimum"] == 0
    assert schema["LoopSettings"]["properties"]["ema_decay"]["exclusiveMaximum"] == 1
    assert schema["EvaluationSettings"]["properties"]["methods"]["minItems"] == 1


def test_new_names_of_renamed_keys_exist():
    assert set(RENAMED.values()) <= set(NAMES)
    assert set(RENAMED).isdisjoint(NAMES)


@settings(deadline=None)
@given(st.data())
def test_any_missing_key_is_named(data):
    name = data.draw(st.sampled_from(NAMES))
    config = copy.deepcopy(DEFAULT)
    place = config
    *sections, last = name.split(".")
    for section in sections:
        place = place[section]
    del place[last]
    with pytest.raises(ConfigError, match=f"{name}: the key is missing"):
        load_config(config)


@settings(deadline=None)
@given(st.data())
def test_a_mapping_as_value_of_any_key_is_an_error_with_its_name(data):
    name = data.draw(st.sampled_from(NAMES))
    with pytest.raises(ConfigError) as caught:
        load_config(_with(name, {"nonsense": 1}))
    assert name.split(".")[-1] in str(caught.value)


@pytest.mark.parametrize("name", ["token_command", "token_variable", "user_variable", "password_variable"])
def test_a_secret_in_a_wrong_place_is_not_shown(name):
    for value in ("ya29.secret", ["ya29.secret", {"a": "ya29.secret"}], {"ya29.secret": 1}):
        with pytest.raises(ConfigError, match=rf"download\.{name}") as refused:
            load_config(_with(f"download.{name}", value))
        assert "ya29" not in str(refused.value)


def test_settings_of_commands_are_validated():
    with pytest.raises(ConfigError, match=r"^--guidance-all: got nan, needs a finite number$"):
        check_settings(PredictionSettings(guidance_all=math.nan), options=True)
    with pytest.raises(ConfigError, match=r"^adaptation\.samples: got 0, needs at least 1$"):
        check_settings(PredictionSettings(adaptation=AdaptationSettings(samples=0)))
    assert check_settings(PredictionSettings()) == PredictionSettings()


def test_a_date_in_yaml_is_an_error():
    with pytest.raises(ConfigError, match="date"):
        load_config(_with("dataset", yaml.safe_load("2026-01-01")))


def test_sections_are_restored_from_params():
    config = Config()
    for name in ("evaluation", "denoiser", "split", "synthetic"):
        section = getattr(config, name)
        assert from_params(type(section), as_params(section)) == section


def test_synthetic_splits_come_from_the_plan():
    config = load_config(DEFAULT)
    split = split_settings(config)
    named = [*split.train.subjects, *split.validation.subjects, *split.test.subjects]
    assert named == subjects(config)
    assert split.test.sentences and set(split.test.sentences).isdisjoint(split.train.sentences)


def test_explicit_split_lists_are_kept():
    config = load_config(_with("split.test", {"subjects": ["M101"], "sentences": ["1"]}))
    assert split_settings(config) == config.split


def test_an_unknown_subject_is_an_error_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'M1O1'.*did you mean M101.*W101"):
        subjects(load_config(_with("subjects", ["M1O1"])))


def test_local_subjects_are_the_folders_with_a_video_archive(tmp_path):
    for name in ("W2", "M1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "video.tar").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "licence.txt").touch()
    config = load_config(_with("source", "local") | {"archives": str(tmp_path)})
    assert subjects(config) == ["M1", "W2"]


def test_folder_without_archives_is_refused(tmp_path):
    config = load_config(_with("source", "local") | {"archives": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"archives: no subject in .*video.tar"):
        subjects(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("evaluation.occlusions", ["mouth", "mouth"]),
        ("evaluation.methods", ["ours", "ours"]),
        ("benchmark.regions", ["mouth", "upper", "mouth"]),
        ("benchmark.spans", ["all", "all"]),
        ("benchmark.methods", ["ours", "ours"]),
    ],
)
def test_lists_have_no_repeated_entries(name: str, value: list[str]) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: .*a list without repeated entries"):
        load_config(_with(name, value))


def test_a_seed_fits_into_64_bits() -> None:
    assert load_config(_with("seed", 2**63 - 1)).seed == 2**63 - 1
    with pytest.raises(ConfigError, match=r"seed: got .*, needs at most"):
        load_config(_with("seed", 2**63))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("denoiser.loop.devices", "2", 2),
        ("prediction.export_fps", "29.97", 29.97),
        ("prediction.refine", "false", False),
        ("prediction.adaptation.offset", "-3", -3),
        ("denoiser.loop.learning_rate", "1e-4", 1e-4),
        # Keys that take text keep it.
        ("run.name", "2", "2"),
    ],
)
def test_numbers_of_the_command_line_are_read_where_no_text_fits(name, text, value):
    """Snakemake reads nested values of --config as text; a file with quotes stays refused."""
    given = text
    for part in reversed(name.split(".")):
        given = {part: given}
    loaded = load_config(with_numbers(_with(name, text), given))
    for part in name.split("."):
        loaded = getattr(loaded, part)
    assert loaded == value
    if value != text:
        with pytest.raises(ConfigError, match=re.escape(name)):
            load_config(with_numbers(_with(name, text), {}))


def test_other_texts_of_the_command_line_are_refused():
    date = _with("dataset", yaml.safe_load("2026-01-01"))
    assert with_numbers(date, {}) == date
    for text in ("two", "[2]", "'2'", ""):
        with pytest.raises(ConfigError, match=re.escape("denoiser.loop.devices: got")):
            given = {"denoiser": {"loop": {"devices": text}}}
            load_config(with_numbers(_with("denoiser.loop.devices", text), given))
