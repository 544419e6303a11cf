"""Stage: the tables of an evaluation, from the scores of all subjects."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.names import NETWORKS
from occlufacediff.config.occlusion import EVALUATION_KINDS
from occlufacediff.errors import AssetError
from occlufacediff.evaluation import aggregation
from occlufacediff.evaluation.external import FOLDER, ExternalFolder
from occlufacediff.evaluation.metrics import TRUTH
from occlufacediff.evaluation.published_figures import published_figures
from occlufacediff.evaluation.rows import BY_CLIP_COLUMNS, failure_table, read_failures, scored_clips
from occlufacediff.evaluation.training_overlap import SEEN, Seen, seen_in_training
from occlufacediff.evaluation.visibility_counts import region_table
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.models.checkpoint import checkpoint_info
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.reporting import main_table
from occlufacediff.reporting.published_tables import published_markdown
from occlufacediff.reporting.tables import headline_metric
from occlufacediff.workflow.shards import key, read_index, usable

LOG = logging.getLogger(__name__)

_NUMBERS = "%.6g"
_NAMES = [name for name in BY_CLIP_COLUMNS if name not in ("value", "weight")]


@dataclass(frozen=True)
class Tables:
    """Files of the tables.

    Attributes:
        metrics: means over clips with intervals (`aggregation.MEANS_COLUMNS`, `aggregation.DIFFERENCE_COLUMNS`,
            ``seen_in_training``).
        by_clip: one row per clip, method, occlusion and metric (`rows.BY_CLIP_COLUMNS`).
        failures: clips that failed (`rows.FAILURE_COLUMNS`).
        paired: differences of methods on the same clips (`aggregation.PAIRED_COLUMNS`).
        by_group: means by emotion, level and subject (`aggregation.GROUPED_COLUMNS`).
        markdown: the main result.
        latex: the main result.
        published: figures of the published evaluation (`published_figures.COLUMNS`, ``sampling``); None
            for another protocol.
        visibility: visibility found under painted occluders (`visibility_counts.COLUMNS`); None without these.
    """

    metrics: Path
    by_clip: Path
    failures: Path
    paired: Path
    by_group: Path
    markdown: Path
    latex: Path
    published: Path | None = None
    visibility: Path | None = None


def write_tables(
    manifest: Path,
    scores: Sequence[Path],
    failures: Sequence[Path],
    head: Path,
    networks: Sequence[Path],
    checkpoints: Mapping[str, Path],
    tables: Tables,
    *,
    dataset: str,
    settings: EvaluationSettings,
    occlusion_seed: int,
    painted: Sequence[Path] = (),
) -> None:
    """Join the scores of all subjects and write their means, differences and groups.

    The headline is ``lve``: over all frames of a clip, as published; ``lve_hidden`` is over the occluded frames only.
    Rows of the method ``truth`` are metrics of the truth itself.

    ``seen_in_training`` is a key of `evaluation.training_overlap.SEEN`: what training used of these clips. Evaluations
    with equal ``protocol`` have the same occlusions of equal clips and give methods the same, so their clips can be
    compared in pairs. ``identity`` is the setting. Every table has both columns.

    Args:
        manifest: manifest of the data set.
        scores: tables of `stages.score_motions`, one per subject.
        failures: clips that failed, one table per subject.
        head: head model.
        networks: checkpoints of the evaluated networks; only their descriptions are read.
        checkpoints: folders of further checkpoints, by the name of their method.
        tables: files to write.
        dataset: name of the data set, to compare it with the data that the networks were trained on.
        settings: of the protocol.
        occlusion_seed: of occlusions; it also seeds the bootstrap.
        painted: indices of the clips with painted occluders, one per subject.

    Raises:
        AssetError: every clip failed, or a file is missing or damaged.
        StorageError: a file cannot be read or written.
    """
    rows = scored_clips(manifest, settings).rows
    sentences = rows.clip_sentences()
    seen = _seen(networks, dataset, sentences)
    of_method = {
        name: _seen([folder / network for network in NETWORKS], dataset, sentences)
        for name, folder in checkpoints.items()
    }
    failed = pd.concat(
        [*(read_failures(path) for path in failures), _unmatched(settings, sentences)], ignore_index=True
    )
    by_clip = read_scores(scores, settings.occlusions)
    if by_clip.empty:
        raise AssetError(_nothing_scored(failed, manifest))
    for line in failed.itertuples():
        LOG.warning("%s/%s failed: %s: %s", line.subject, line.clip, line.reason, line.message)
    draws = settings.bootstrap, occlusion_seed
    protocol = f"{settings.protocol}-{_protocol_digest(settings, occlusion_seed, head)}"
    means = with_missing(aggregation.means(by_clip, *draws), failed, settings)
    paired = aggregation.paired(by_clip, *draws)
    first = next((str(name) for name in by_clip["method"].unique() if name != TRUTH), "")
    means = means.join(aggregation.differences_to(first, means, paired)).assign(
        seen_in_training=[of_method.get(str(method), seen) for method in means["method"]],
    )
    written: list[tuple[Path, pd.DataFrame]] = [
        (tables.metrics, means),
        (tables.by_clip, by_clip),
        (tables.failures, failed),
        (tables.paired, paired),
        (tables.by_group, aggregation.by_group(by_clip, *draws)),
    ]
    texts = ""
    if tables.published is not None:
        figures = published_figures(by_clip).assign(sampling=settings.sampling_note)
        written.append((tables.published, figures))
        texts = "\n" + published_markdown(figures)
    if tables.visibility is not None:
        found = region_table(row for path in painted for row in usable(read_index(path)))
        written.append((tables.visibility, found))
    for path, table in written:
        with written_aside(path) as aside:
            table.assign(identity=settings.identity, protocol=protocol).to_csv(
                aside, index=False, float_format=_NUMBERS, lineterminator="\n"
            )
    means = means.assign(identity=settings.identity, protocol=protocol)
    for path, text in ((tables.markdown, main_table.markdown(means) + texts), (tables.latex, main_table.latex(means))):
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")


def read_scores(paths: Sequence[Path], occlusions: Sequence[str]) -> pd.DataFrame:
    """Scores of all subjects, `rows.BY_CLIP_COLUMNS`: by occlusion, then method, the method `TRUTH` last.

    Names are categories: a table of 10,000 clips has millions of rows.
    """
    frames = [
        pd.read_csv(
            path,
            dtype=dict.fromkeys(_NAMES, "category") | {"value": float, "weight": float},
            keep_default_na=False,
            float_precision="round_trip",
        )
        for path in paths
    ]
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame(columns=BY_CLIP_COLUMNS)
    columns = {
        name: union_categoricals([frame[name] for frame in frames])
        if name in _NAMES
        else pd.concat([frame[name] for frame in frames], ignore_index=True)
        for name in BY_CLIP_COLUMNS
    }
    joined = pd.DataFrame(columns)
    methods = [name for name in joined["method"].unique() if name != TRUTH]
    for name, order in (("occlusion", occlusions), ("method", [*methods, TRUTH])):
        joined[name] = joined[name].cat.set_categories(order)
    return joined.sort_values(["occlusion", "method"], kind="stable", ignore_index=True)


def _seen(networks: Sequence[Path], dataset: str, sentences: Mapping[str, str]) -> Seen:
    """What the trainings of some networks used of the scored clips."""
    seen = seen_in_training([checkpoint_info(folder).provenance for folder in networks], dataset, sentences)
    LOG.log(logging.INFO if seen in ("no", "no_subjects") else logging.WARNING, "%s: %s", networks[-1], SEEN[seen])
    return seen


def with_missing(means: pd.DataFrame, failed: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """Means with the column ``missing``: clips of the occlusion that only this method lacks.

    A system from outside without any result under an occlusion gets a row of the headline metric with no mean and n 0.
    """
    single = failed[(failed["method"] != "") & (failed["clip"] != FOLDER)]
    counts = single.groupby(["method", "occlusion"]).size()
    there = set(zip(means["method"], means["occlusion"], strict=True))
    metric = headline_metric(means)
    unit = means.loc[means["metric"] == metric, "unit"].iloc[0]
    absent = [
        {"method": method, "occlusion": kind, "metric": metric, "unit": unit, "n": 0, "n_subjects": 0}
        for kind in settings.occlusions
        for method in settings.external
        if (method, kind) in counts.index and (method, kind) not in there
    ]
    if absent:
        means = pd.concat([means, pd.DataFrame(absent)], ignore_index=True)
        means["interval_over"] = means["interval_over"].fillna("")
    pairs = zip(means["method"], means["occlusion"], strict=True)
    return means.assign(missing=[int(counts.get(pair, 0)) for pair in pairs])


def _unmatched(settings: EvaluationSettings, clip_ids: Iterable[str]) -> pd.DataFrame:
    """A row for each folder of another system with files that belong to no clip: `rows.FAILURE_COLUMNS`."""
    known, lines = list(clip_ids), []
    for name, folder in settings.external.items():
        message = ExternalFolder.open(name, Path(folder), EVALUATION_KINDS).unmatched_message(known)
        if message:
            lines.append(("", "", FOLDER, name, "external_unmatched", message))
    return failure_table(lines)


def _nothing_scored(failed: pd.DataFrame, manifest: Path) -> str:
    if failed.empty:
        return f"evaluation: no clip was scored; see the column reason of {manifest}"
    first = failed.iloc[0]
    return (
        f"evaluation: all {failed.groupby(['subject', 'clip']).ngroups} clips failed (first "
        f"{first['subject']}/{first['clip']}: {first['reason']}: {first['message']})"
    )


def _protocol_digest(settings: EvaluationSettings, occlusion_seed: int, head: Path) -> str:
    """Digest of the split, the head model, the occlusions and what methods receive."""
    images = settings.occlusion.pictures, settings.occlusions, settings.occlusion.occluders
    pictures = occluder_digests(*images)
    occlusion = replace(settings.occlusion, pictures=None, occluders=None)
    attributes = head_attributes(HeadAsset.load(head))
    # Settings of painted occluders belong to evaluations that have them.
    painted = [settings.natural_occluders] if settings.painted else []
    return key(settings.split, settings.identity, occlusion, occlusion_seed, attributes, pictures, *painted)[:12]
