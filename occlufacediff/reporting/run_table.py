"""What was run on what: the data set, the evaluation, and what each network was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.section import from_params
from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.reporting.names import counted

#: Hex digits of digests.
DIGITS = 12


def run_rows(
    manifest: pd.DataFrame,
    means: pd.DataFrame,
    head: HeadAsset,
    networks: Iterable[Path],
    config: Mapping[str, Any],
) -> list[tuple[str, str]]:
    """Rows of a name and a text each.

    Args:
        manifest: manifest of the data set.
        means: metrics of the run.
        head: the head model.
        networks: descriptions of the networks (``config.yaml``).
        config: the resolved configuration.

    Raises:
        AssetError: a description cannot be read.
    """
    good = manifest[manifest["status"] == "ok"]
    evaluation = config.get("evaluation", {})
    split = str(evaluation.get("split", "test"))
    scored = good[good["split"] == split]
    methods, occlusions = (", ".join(means[name].astype(str).unique()) for name in ("method", "occlusion"))
    settings = from_params(EvaluationSettings, evaluation)
    seed, seed_of_run = config.get("seed", "unknown"), config.get("run", {}).get("seed")
    seeds = f"seed {seed}" + (f", seed of the run {seed_of_run}" if seed_of_run is not None else "")
    rows = [
        (
            "data set",
            f"{config.get('dataset', 'unknown')} (source {config.get('source', 'unknown')}): "
            f"{counted(len(good), 'clip')} of {counted(good['subject'].nunique(), 'subject')}, "
            f"split by {config.get('split', {}).get('rule', 'unknown')!r}",
        ),
        ("head model", f"{head.name}, digest {head.digest[:DIGITS]}"),
        (
            "scored clips",
            f"{counted(int(means['n'].max()), 'clip')} of the {len(scored)} of the split {split!r}",
        ),
        ("protocol", f"{settings.protocol}, identity {settings.identity}"),
        ("methods", methods),
        ("occlusions", occlusions),
        ("sampling", f"{settings.sampling_note}, {counted(settings.samples, 'sample')}, {seeds}"),
    ]
    return rows + [(path.parent.name.replace("_", " "), _training(path)) for path in networks]


def _training(path: Path) -> str:
    """What the description of a network says about its training."""
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise AssetError(
            f"{path}: is not a readable description of a network ({error}); train or copy it again"
        ) from error
    if not isinstance(described, dict):
        raise AssetError(f"{path}: is not a description of a network; train or copy it again")
    weights = f"weights {str(described.get('weights_sha256', 'unknown'))[:DIGITS]}"
    origin = described.get("provenance")
    if not origin:
        return f"{path.parent}; its training is not recorded; {weights}"
    versions = ", ".join(f"{name} {version}" for name, version in (origin.get("versions") or {}).items())
    start = "; started from another checkpoint" if origin.get("start") else ""
    return (
        f"{path.parent}; trained on {origin['dataset']}: {counted(origin['clips'], 'clip')} of "
        f"{counted(len(origin['subjects']), 'subject')} (run {origin['run']}, seed {origin['seed']}, "
        f"split by {origin['split_rule']!r}){start}; {weights}; {versions}"
    )
