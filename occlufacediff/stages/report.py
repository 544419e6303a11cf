"""Stage: the report of a run, one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from occlufacediff.config.report import ReportSettings
from occlufacediff.config.schema import Config
from occlufacediff.config.section import redacted
from occlufacediff.evaluation.aggregation import GROUPED_COLUMNS, PAIRED_COLUMNS
from occlufacediff.evaluation.predictions import read_motion, read_occlusion, require_head_of
from occlufacediff.evaluation.rows import FAILURE_COLUMNS
from occlufacediff.evaluation.training_overlap import SEEN
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.reporting import plots, report_parts, result_tables, sources
from occlufacediff.reporting.clip_views import ClipSources, clip_views
from occlufacediff.reporting.comparison import compare_with
from occlufacediff.reporting.embed import jpeg, result_video, video_or_note
from occlufacediff.reporting.failures import failure_part
from occlufacediff.reporting.names import OCCLUSION_ORDER, counted, metric_name, occlusion_name, occlusion_notes
from occlufacediff.reporting.protocol_notes import lacking_note, lacking_table, protocol_note
from occlufacediff.reporting.published_tables import PUBLISHED_COLUMNS, published_note, published_tables
from occlufacediff.reporting.result_tables import run_difference_note, run_difference_tables
from occlufacediff.reporting.run_table import run_rows
from occlufacediff.reporting.runs import seen_by_run
from occlufacediff.reporting.tables import (
    METRIC_COLUMNS,
    headline_metric,
    identity_note,
    in_order,
    interval_note,
    read_table,
    unit_of,
)
from occlufacediff.reporting.templates import render
from occlufacediff.reporting.videos import contact_sheet
from occlufacediff.reporting.visibility_tables import NOTE, VISIBILITY_COLUMNS, visibility_tables

BY_CLIP_COLUMNS = ("subject", "clip", "method", "occlusion", "metric", "value")
MANIFEST_COLUMNS = ("subject", "clip", "emotion", "sentence_id", "split", "frames", "status", "reason")
#: Whether the plots of the lip opening show the spread of several samples.
SPREAD_NOTES = {
    True: "The band is the range of the samples of ours; the line is their mean.",
    False: "With evaluation.samples of 2 or more, a band shows the range of the samples.",
}
CONTACT_EDGE = 128
CONTACT_COLUMNS = 8


@dataclass(frozen=True)
class DataSetFiles:
    """Files of the data set, one per subject in each list.

    Attributes:
        clips: clip stores.
        audio: audio.
        coefficients: fitted coefficients.
        head: the head model.
    """

    clips: list[Path]
    audio: list[Path]
    coefficients: list[Path]
    head: Path


@dataclass(frozen=True)
class EvaluationFiles:
    """Results of the evaluation.

    Attributes:
        metrics: means over clips.
        metrics_by_clip: one row per clip, method, occlusion and metric.
        motions: occlusions and motions, one file per scored subject.
        failures: clips that failed.
        paired: differences of methods on the same clips.
        by_group: means by emotion, level and subject.
        published: figures of the published evaluation; None for another protocol.
        visibility: visibility found under painted occluders; None without such occlusions.
        compared: folders of runs to compare this run with.
    """

    metrics: Path
    metrics_by_clip: Path
    motions: list[Path]
    failures: Path
    paired: Path
    by_group: Path
    published: Path | None = None
    visibility: Path | None = None
    compared: Sequence[Path] = ()


def make_report(
    manifest: Path,
    data: DataSetFiles,
    evaluation: EvaluationFiles,
    networks: list[Path],
    histories: dict[str, Path],
    config: dict[str, Any],
    versions: dict[str, str],
    report_html: Path,
    *,
    settings: ReportSettings,
    seed: int,
) -> None:
    """Write the report as one HTML file that needs no other file and no network.

    Args:
        manifest: manifest of the data set.
        data: files of the data set.
        evaluation: results of the evaluation.
        networks: descriptions of the networks (``config.yaml``).
        histories: training histories (CSV) by the name of the network.
        config: the resolved configuration. Values of secret keys are not shown.
        versions: versions of programs and libraries.
        report_html: the page.
        settings: its content.
        seed: of the jitter in plots.

    Raises:
        ConfigError: a table is missing or lacks columns.
        AssetError: a subject's file or the head model is damaged.
    """
    clip_table = read_table(manifest, MANIFEST_COLUMNS)
    means = read_table(evaluation.metrics, METRIC_COLUMNS)
    scores = read_table(evaluation.metrics_by_clip, BY_CLIP_COLUMNS)
    failed = read_table(evaluation.failures, tuple(FAILURE_COLUMNS))
    paired = read_table(evaluation.paired, tuple(PAIRED_COLUMNS))
    grouped = read_table(evaluation.by_group, tuple(GROUPED_COLUMNS))
    figures = None if evaluation.published is None else read_table(evaluation.published, PUBLISHED_COLUMNS)
    found = None if evaluation.visibility is None else read_table(evaluation.visibility, VISIBILITY_COLUMNS)
    asset = HeadAsset.load(data.head)
    motions = sources.by_subject(evaluation.motions)
    for path in evaluation.motions:
        require_head_of(path, asset)
    metric = headline_metric(means)
    unit = unit_of(means, metric)
    run = str(config.get("run", {}).get("name", "main"))
    samples = int(config.get("evaluation", {}).get("samples", 1))
    run_folder = evaluation.metrics.parent.parent
    compared, refused = compare_with(run_folder, evaluation.compared)
    seen = seen_by_run(means.assign(run=run))[run]
    pictures = sources.contact_pictures(clip_table, sources.by_subject(data.clips), settings.contact_pictures)
    split = str(config.get("evaluation", {}).get("split", "test"))
    shown_occlusion = occlusion_name(settings.video_occlusion)
    good = clip_table[clip_table["status"] == "ok"]
    parts = {
        "run": run,
        "dataset": str(config.get("dataset", manifest.parent.name)),
        "intro": f"{counted(good['subject'].nunique(), 'subject')}, {counted(len(good), 'clip')}, "
        f"{good['frames'].sum() / report_parts.FPS / 60:.1f} minutes at 25 fps; head model {asset.name!r}.",
        "cards": report_parts.headline_cards(means, clip_table, settings.headline_occlusion),
        "videos": [
            video_or_note(
                f"{subject}, {clip}: lip error {error:.2f} {unit}".strip(),
                partial(_video, subject, clip, data, motions[subject], asset, settings),
            )
            for subject, clip, error in sources.typical_clips(scores, settings.video_occlusion, settings.videos)
        ],
        "videos_note": f"Occlusion: {shown_occlusion}. Clips of different subjects with lip errors nearest to the "
        f"median. {SEEN[seen]} The truth is the fit to the video without occlusion. Warm colours on our mesh mark the "
        "occluded area.",
        **clip_views(
            scores,
            ClipSources(motions, sources.by_subject(data.coefficients), sources.by_subject(data.audio)),
            asset,
            unit,
            settings,
        ),
        "view_note": f"Clips with the smallest, median and largest lip error of ours, occlusion {shown_occlusion}. "
        "The mouse turns the heads. All have identity and head pose of the truth.",
        "openings_note": f"Distance between the inner lips, of the clips with the smallest, median and largest lip "
        f"error of ours, occlusion {shown_occlusion}. Frames on grey are occluded. " + SPREAD_NOTES[samples > 1],
        "results_note": f"Bars are means over clips of the {split} split, dots are clips, red lines are intervals: "
        f"{metric_name(metric)}, {unit}. {interval_note(means)} {lacking_note(means)}".strip(),
        "protocol_note": f"{protocol_note(means)} {' '.join(identity_note(means))} Metrics of the mesh use identity, "
        "head pose and camera of the truth for all methods. The row (truth) in some tables has the metric of the truth "
        "itself, for comparison.",
        "occlusion_notes": occlusion_notes(in_order(means["occlusion"], OCCLUSION_ORDER)),
        "seen_note": SEEN[seen],
        "warning": seen not in ("no", "no_subjects"),
        "headline_plot": plots.bars_with_spread(scores, metric, unit, seed, means),
        "tables": report_parts.result_tables(means),
        "differences": result_tables.differences(paired, metric),
        "group_tables": [
            *result_tables.group_tables(grouped, metric, settings.headline_occlusion),
            *result_tables.region_tables(means, settings.headline_occlusion),
        ],
        "compared_note": run_difference_note(compared, f"All metrics: occlufacediff compare {run_folder} OTHER."),
        "compared_runs": run_difference_tables(compared),
        "refused_runs": refused,
        "published": [] if figures is None else published_tables(figures),
        "published_note": "" if figures is None else published_note(figures),
        "visibility": [] if found is None else visibility_tables(found),
        "visibility_note": NOTE,
        "lacking": lacking_table(failed).to_numpy().tolist(),
        "lacking_note": lacking_note(means),
        "test_failures": report_parts.test_failure_rows(failed),
        "data_note": report_parts.splits_note(clip_table),
        "contact_sheet": jpeg(contact_sheet(pictures, CONTACT_COLUMNS, CONTACT_EDGE)) if pictures else "",
        "contact_note": "Middle frames of some clips, as the crops of which the networks receive the landmarks.",
        "splits": report_parts.split_rows(clip_table),
        "emotion_plot": plots.clips_by_emotion(good),
        "fit": report_parts.fit_part(sources.fit_errors(data.coefficients), seed),
        "curves": report_parts.curves(histories),
        "failures": failure_part(clip_table),
        "run_rows": run_rows(clip_table, means, asset, networks, redacted(Config, config)),
        "versions": list(versions.items()),
        "config": report_parts.config_text(redacted(Config, config)),
    }
    with written_aside(report_html) as aside:
        aside.write_text(render("report.html.j2", parts), encoding="utf-8")


def _video(
    subject: str, clip: str, data: DataSetFiles, motions: Path, asset: HeadAsset, settings: ReportSettings
) -> dict[str, str]:
    """One result video and its poster as base64."""
    most = round(settings.video_seconds * report_parts.FPS)
    clip_id = f"{subject}/{clip}"
    motion = read_motion(motions, settings.video_occlusion, "ours", clip_id)
    occlusion, _ = read_occlusion(motions, settings.video_occlusion, clip_id)
    shown = sources.result_clip(
        clip,
        sources.by_subject(data.clips)[subject],
        sources.by_subject(data.coefficients)[subject],
        motion,
        lambda frame: occlusion.image_mask(slice(frame, frame + 1))[0],
        asset,
        most,
    )
    audio = sources.waveform_of(sources.by_subject(data.audio)[subject], clip, len(shown.crops))
    return result_video(shown, asset, audio, panel=settings.panel_px, heat_max_mm=settings.heat_max_mm)
