"""What was run on what: the data set, the evaluation, and what each network was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset

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
    sampling = [f"{name} {evaluation[name]}" for name in ("solver", "steps", "samples") if name in evaluation]
    seeds = f"seed {config.get('seed', 'unknown')}, of the run {config.get('run', {}).get('seed') or 'the same'}"
    rows = [
        (
            "data set",
            f"{config.get('dataset', 'unknown')} (source {config.get('source', 'unknown')}): {len(good)} clips of "
            f"{good['subject'].nunique()} subjects, split by the rule {config.get('split', {}).get('rule', 'unknown')}",
        ),
        ("head model", f"{head.name}, digest {head.digest[:DIGITS]}"),
        ("scored clips", f"{split}: {len(scored)} clips of {scored['subject'].nunique()} subjects"),
        ("methods", methods),
        ("occlusions", occlusions),
        ("sampling", ", ".join([*sampling, seeds])),
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
        f"{path.parent}; trained on {origin['dataset']}: {origin['clips']} clips of {len(origin['subjects'])} subjects "
        f"(run {origin['run']}, seed {origin['seed']}, split rule {origin['split_rule']}){start}; {weights}; {versions}"
    )
