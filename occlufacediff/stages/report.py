"""The report: one HTML page about a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from occlufacediff.config.report import ReportSettings
from occlufacediff.evaluation.predictions import read_motion, read_occlusion, require_head_of
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.reporting import plots, report_parts, sources
from occlufacediff.reporting.embed import jpeg, result_video
from occlufacediff.reporting.failures import failure_part
from occlufacediff.reporting.tables import METRIC_COLUMNS, headline_metric, metric_name, read_table, unit_of
from occlufacediff.reporting.templates import render
from occlufacediff.reporting.videos import contact_sheet

BY_CLIP_COLUMNS = ("subject", "clip", "method", "occlusion", "metric", "value")
MANIFEST_COLUMNS = ("subject", "clip", "emotion", "sentence_id", "split", "frames", "status", "reason")
#: What the clips that were scored are to the networks, by their split.
SCORED = {
    "test": "Unseen subjects and sentences",
    "validation": "Subjects and sentences that no weights were trained on",
    "train": "Clips that the networks were trained on",
}
CONTACT_EDGE = 128
CONTACT_COLUMNS = 8


def make_report(
    manifest: Path,
    metrics: Path,
    metrics_by_clip: Path,
    predictions: Path,
    clips: list[Path],
    audio: list[Path],
    coefficients: list[Path],
    head: Path,
    histories: dict[str, Path],
    config: dict[str, Any],
    versions: dict[str, str],
    report_html: Path,
    *,
    settings: ReportSettings,
    seed: int,
) -> None:
    """Write the report as one HTML file that opens without a network.

    Args:
        manifest: the data set's manifest.
        metrics: means over clips.
        metrics_by_clip: one row a clip, method, occlusion and metric.
        predictions: predicted motion of the evaluation (HDF5).
        clips: clip stores, one a subject.
        audio: sound, one file a subject.
        coefficients: fitted coefficients, one file a subject.
        head: head model.
        histories: training histories (CSV) by the network's name.
        config: the resolved configuration.
        versions: programs and their versions.
        report_html: the page.
        settings: what it shows.
        seed: of the plots' jitter.

    Raises:
        ConfigError: a table is missing or lacks columns.
        AssetError: a shard or the head model is damaged.
    """
    clip_table = read_table(manifest, MANIFEST_COLUMNS)
    means = read_table(metrics, METRIC_COLUMNS)
    scores = read_table(metrics_by_clip, BY_CLIP_COLUMNS)
    asset = HeadAsset.load(head)
    require_head_of(predictions, asset)
    metric = headline_metric(means)
    unit = unit_of(means, metric)
    pictures = sources.contact_pictures(clip_table, sources.by_subject(clips), settings.contact_pictures)
    chosen = sources.typical_clips(scores, settings.video_occlusion, settings.videos)
    split = str(config.get("evaluation", {}).get("split", "test"))
    scored = SCORED.get(split, f"Clips of the {split} split")
    hidden_name = settings.video_occlusion.replace("_", " ")
    good = clip_table[clip_table["status"] == "ok"]
    parts = {
        "run": "main",
        "warning": "",
        "test_failures": [],
        "dataset": str(config.get("dataset", manifest.parent.name)),
        "intro": f"{good['subject'].nunique()} subjects, {len(good)} clips, "
        f"{good['frames'].sum() / report_parts.FPS / 60:.1f} minutes at 25 fps; head model {asset.name!r}.",
        "cards": report_parts.headline_cards(means, clip_table, settings.headline_occlusion),
        "videos": [
            _video(subject, clip, error, unit, predictions, clips, audio, coefficients, asset, settings)
            for subject, clip, error in chosen
        ],
        "videos_note": f"Occlusion: {hidden_name}. {scored}; the clips of different subjects "
        "whose lip error is nearest the median, so neither the best nor the worst. Truth is the fit to the unoccluded "
        "video. On our mesh, warm is what was hidden and is recovered from the rest and the sound.",
        "results_note": f"Bars are means over clips of the {split} split, dots are clips: {metric_name(metric)}, "
        f"{unit}. All methods share the truth's identity, head pose and camera in the measures of the mesh.",
        "headline_plot": plots.bars_with_spread(scores, metric, unit, seed),
        "tables": report_parts.result_tables(means),
        "data_note": "Train, validation and test are disjoint in subjects and in sentences.",
        "contact_sheet": jpeg(contact_sheet(pictures, CONTACT_COLUMNS, CONTACT_EDGE)) if pictures else "",
        "contact_note": "The middle frame of some clips, as the crops that the networks' landmarks refer to.",
        "splits": report_parts.split_rows(clip_table),
        "emotion_plot": plots.clips_by_emotion(good),
        "fit": report_parts.fit_part(sources.fit_errors(coefficients)),
        "curves": report_parts.curves(histories),
        "failures": failure_part(clip_table),
        "versions": list(versions.items()),
        "config": report_parts.config_text(config),
    }
    with written_aside(report_html) as aside:
        aside.write_text(render("report.html.j2", parts), encoding="utf-8")


def _video(
    subject: str,
    clip: str,
    error: float,
    unit: str,
    predictions: Path,
    clips: list[Path],
    audio: list[Path],
    coefficients: list[Path],
    asset: HeadAsset,
    settings: ReportSettings,
) -> dict[str, str]:
    """One result video, as base64 of an mp4 file, and its caption."""
    most = round(settings.video_seconds * report_parts.FPS)
    clip_id = f"{subject}/{clip}"
    motion = read_motion(predictions, settings.video_occlusion, "ours", clip_id)
    occlusion, _ = read_occlusion(predictions, settings.video_occlusion, clip_id)
    shown = sources.result_clip(
        clip,
        sources.by_subject(clips)[subject],
        sources.by_subject(coefficients)[subject],
        motion,
        lambda frame: occlusion.image_mask(slice(frame, frame + 1))[0],
        asset,
        most,
    )
    frames = len(shown.crops)
    sound = sources.waveform_of(sources.by_subject(audio)[subject], clip, frames)
    video = result_video(shown, asset, sound, panel=settings.panel_px, heat_max_mm=settings.heat_max_mm)
    return {**video, "caption": f"{subject}, {clip}: lip error {error:.2f} {unit}".strip()}
