"""Validation of the configuration by pydantic; an error is one line that names key, value and remedy."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from occlufacediff.config.schema import Config
from occlufacediff.config.section import as_params, secret_keys
from occlufacediff.errors import ConfigError

T = TypeVar("T")

WHERE = "config/README.md explains every key, config/default.yaml has every default"
#: Keys of earlier versions -> their name now.
RENAMED = {
    "clips": "benchmark_videos",
    "recordings": "benchmark",
    "recordings.kept_apart": "benchmark.held_out",
    "benchmark.kept_apart": "benchmark.held_out",
    "published": "emote",
    "synthetic.decoy_strength": "synthetic.distractor_strength",
    "denoiser.augment.decoy": "denoiser.augment.mouth_swap",
    "open_weights.denoiser.augment.decoy": "open_weights.denoiser.augment.mouth_swap",
    "prediction.follow_visible": "prediction.refine",
    "evaluation.follow_visible": "evaluation.refine",
} | {
    f"{section}.adaptation.{old}": f"{section}.adaptation.{new}"
    for section in ("prediction", "benchmark")
    for old, new in {
        "unheard_gain": "without_audio_gain",
        "unheard_sd": "without_audio_sd",
        "sound_sd": "audio_sd",
        "turned_sd": "head_turn_sd",
        "beside_sd": "visible_sd",
        "apart_share": "disagreement_share",
    }.items()
}
_WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}


def load_config(raw: Mapping[str, Any]) -> Config:
    """Convert plain mappings, lists and values, as read from YAML, to the typed configuration.

    All keys of the schema are required; ``config/default.yaml`` provides them.

    Raises:
        ConfigError: a key is missing, unknown, of the wrong type or out of range.
    """
    try:
        text = json.dumps(raw)
    except TypeError as error:
        raise ConfigError(f"Configuration: a value has a type that no key takes ({error}). {WHERE}.") from None
    _demand_keys(_defaults(Config), raw, "")
    try:
        # Strict JSON: lists become tuples and whole numbers become floats; nothing else is converted.
        config: Config = _adapter(Config).validate_json(text, strict=True)
    except ValidationError as error:
        name, problem = _explained(Config, error.errors()[0], raw)
        raise ConfigError(f"Configuration, {name}: {problem}. {WHERE}.") from None
    return config


def with_numbers(raw: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with numbers where a key takes no text, for values of Snakemake's ``--config``.

    Snakemake reads nested values as text: ``denoiser={loop: {devices: 2}}`` gives ``'2'``. Texts of files stay, and are
    refused by `load_config`.

    Args:
        raw: all sections.
        texts: the values of ``--config``.
    """
    numbered: dict[str, Any] = copy.deepcopy(dict(raw))
    while True:
        try:
            _adapter(Config).validate_json(json.dumps(numbered), strict=True)
            return numbered
        except TypeError:
            # A value that is no JSON, which `load_config` reports.
            return numbered
        except ValidationError as error:
            if not any(_read_as_number(numbered, texts, problem["loc"]) for problem in error.errors()):
                return numbered


def _read_as_number(raw: Any, texts: Any, place: Sequence[str | int]) -> bool:
    """Replace a refused text of ``texts`` in ``raw`` by the number, truth value or null it writes; whether it did."""
    holder: Any = None
    last: str | int = ""
    value, text = raw, texts
    for part in place:
        # Other parts of the location name the branch of a union.
        inside = isinstance(value, dict) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            holder, last, value = value, part, value[part]
            try:
                text = text[part]
            except (KeyError, IndexError, TypeError):
                return False
    if holder is None or not isinstance(value, str) or value != text:
        return False
    try:
        number = json.loads(value.lower() if value in ("True", "False") else value)
    except ValueError:
        return False
    if isinstance(number, str | list | dict):
        return False
    holder[last] = number
    return True


def check_settings(settings: T, *, options: bool = False) -> T:
    """Validate settings that were built from other sources, such as the command line, like the configuration.

    Args:
        options: whether the keys are options; an error then says ``--guidance-all`` and not ``guidance_all``.

    Raises:
        ConfigError: a value has the wrong type or is out of range.
    """
    kind: Any = type(settings)
    text = json.dumps(as_params(settings))
    try:
        checked: T = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        name, problem = _explained(kind, error.errors()[0], json.loads(text))
        raise ConfigError(f"{'--' + name.replace('_', '-') if options else name}: {problem}") from None
    return checked


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _defaults(kind: Any) -> dict[str, Any]:
    return as_params(kind())


def _demand_keys(defaults: Mapping[str, Any], raw: Any, prefix: str) -> None:
    """Require a value for each key; pydantic would use a default in its place."""
    for name, default in defaults.items() if isinstance(raw, Mapping) else ():
        if name not in raw:
            raise ConfigError(
                f"Configuration, {prefix}{name}: the key is missing; copy it from config/default.yaml. {WHERE}."
            )
        if isinstance(default, Mapping):
            _demand_keys(default, raw[name], f"{prefix}{name}.")


def _explained(kind: type, problem: Any, raw: Any) -> tuple[str, str]:
    """Full name of the first wrong key, and one line with its value and the remedy."""
    name, value, defaults, siblings = "", raw, _defaults(kind), _defaults(kind)
    for part in problem["loc"]:
        # Other parts of the location name the branch of a union.
        if isinstance(value, Mapping) and part in value:
            siblings, value, defaults = defaults, value[part], defaults.get(part) or {}
            name = f"{name}.{part}" if name else str(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value, name = value[part], f"{name}[{part}]"
    # `kind` may be one section only, so the names of secret keys are compared from their end.
    secret = name.partition("[")[0].endswith(tuple(key.rpartition(".")[2] for key in secret_keys(Config)))
    got = "something else (not shown here)" if secret else repr(value)
    match problem["type"]:
        case "unexpected_keyword_argument":
            return name, f"there is no such key; {_remedy(name, list(siblings))}"
        case "dataclass_type":
            return name or "the file", f"got {got}, needs keys and values"
        case "value_error" if isinstance(value, Mapping):
            # From __post_init__, which names the key below this section.
            key, _, text = str(problem["ctx"]["error"]).partition(": ")
            return f"{name}.{key}" if name else key, text
        case "value_error":
            need = str(problem["ctx"]["error"])
        case "too_short" | "string_too_short":
            need = f"at least {problem['ctx']['min_length']} entry"
        case _:
            need = problem["msg"].removeprefix("Input should be ")
            need = need[0].lower() + need[1:]
            for long, short in _WORDS.items():
                need = need.replace(long, short)
    return name, f"got {got}, needs {need}"


def _remedy(name: str, known: list[str]) -> str:
    if name in RENAMED:
        return f"it is named {RENAMED[name]} now"
    prefix, _, last = name.rpartition(".")
    near = difflib.get_close_matches(last, known, n=1)
    return f"did you mean {prefix}{'.' if prefix else ''}{near[0]}?" if near else f"the keys are: {', '.join(known)}"
