"""Plots of report and benchmark as SVG for an HTML page."""

from __future__ import annotations

import io
import re
from textwrap import fill
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from occlufacediff.reporting.names import METHOD_ORDER, OCCLUSION_ORDER, method_name, occlusion_name
from occlufacediff.reporting.tables import cell_text, in_order

COLOURS = {
    "ours": "#0b7a75",
    "ours_without_audio": "#7fc8c2",
    "before_finetuning": "#b07aa1",
    "interpolation": "#e2a33d",
    "neutral": "#b4b8c0",
}
#: Colours of methods without a fixed colour.
SPARE_COLOURS = ("#5b6ee1", "#c2557a", "#7a5ba8", "#4d9de0")
#: Columns of history.csv: share of steps that trained the audio encoder; error of sampled lips, in millimetres.
AUDIO_PHASE, SAMPLED_LIPS = "audio_phase", "validation_sampled_lips"
_VALIDATION = "#e2a33d"
#: Width of the labels below bars, in characters.
LABEL_LETTERS = 13
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a909c",
    "axes.labelcolor": "#3a404c",
    "xtick.color": "#3a404c",
    "ytick.color": "#3a404c",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e6e8ec",
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "occlufacediff",
    "figure.constrained_layout.use": True,
}


def colour_of(method: str, number: int = 0) -> str:
    """Colour of a method, the same in all plots."""
    return COLOURS.get(method, SPARE_COLOURS[number % len(SPARE_COLOURS)])


def svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element without fixed width and height. Closes the figure."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", re.sub(r'height="[^"]*pt"', "", text, count=1), count=1)


def bars_with_spread(
    by_clip: pd.DataFrame, metric: str, unit: str, seed: int, means: pd.DataFrame | None = None
) -> str:
    """Means of a metric by method and occlusion as bars, with one dot per clip and the 95 % interval as a line.

    Args:
        by_clip: columns ``method, occlusion, metric, value``, one row per clip.
        metric: the metric to plot.
        unit: its unit, for the axis.
        seed: of the horizontal jitter of the dots.
        means: ``method, occlusion, metric, low, high`` for the intervals; None, or without these columns: no intervals.
    """
    chosen = by_clip[by_clip["metric"] == metric]
    limits = _limits(means, metric)
    methods = in_order(chosen["method"], METHOD_ORDER)
    occlusions = in_order(chosen["occlusion"], OCCLUSION_ORDER)
    rng = np.random.default_rng(seed)
    width = 0.82 / max(1, len(methods))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9.6, 3.6))
        for number, method in enumerate(methods):
            for place, occlusion in enumerate(occlusions):
                values = chosen.loc[(chosen["method"] == method) & (chosen["occlusion"] == occlusion), "value"]
                x = place + (number - (len(methods) - 1) / 2) * width
                label = method_name(method) if place == 0 else None
                _bar_with_dots(axes, x, width * 0.92, values, colour_of(method, number), rng, label=label)
                if (method, occlusion) in limits:
                    axes.plot([x, x], limits[method, occlusion], color="#b3261e", linewidth=1.8, solid_capstyle="butt")
        axes.set_xticks(range(len(occlusions)), [fill(occlusion_name(name), LABEL_LETTERS) for name in occlusions])
        _finish_bars(axes, unit)
        axes.legend(frameon=False, ncols=len(methods), loc="upper center", bbox_to_anchor=(0.5, 1.16))
        return svg(figure)


def _limits(means: pd.DataFrame | None, metric: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Interval of each method and occlusion that has one."""
    if means is None or not {"low", "high"} <= set(means.columns):
        return {}
    rows = means[means["metric"] == metric].dropna(subset=["low", "high"]).to_dict("records")
    return {(str(row["method"]), str(row["occlusion"])): (row["low"], row["high"]) for row in rows}


def differences_plot(paired: pd.DataFrame, metric: str, unit: str) -> str | None:
    """Mean differences of the first method to every other, by occlusion, as dots with their 95 % intervals.

    Args:
        paired: columns ``occlusion, metric, method, against, difference, low, high``.
        metric: the metric to plot.
        unit: its unit, for the axis.

    Returns:
        The plot as SVG; None without differences.
    """
    rows = paired[paired["metric"] == metric]
    rows = rows[rows["method"].isin(in_order(rows["method"], METHOD_ORDER)[:1])].dropna(subset=["difference"])
    if rows.empty:
        return None
    others, occlusions = in_order(rows["against"], METHOD_ORDER), in_order(rows["occlusion"], OCCLUSION_ORDER)
    step = 0.74 / len(others)
    with plt.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure, axes = plt.subplots(figsize=(9.6, 0.9 + 0.17 * len(occlusions) * (len(others) + 1)))
        for number, other in enumerate(others):
            colour = colour_of(other, number + 1)
            of_other = rows[rows["against"] == other].set_index("occlusion").reindex(occlusions)
            places = np.arange(len(occlusions)) + (number - (len(others) - 1) / 2) * step
            axes.hlines(places, of_other["low"], of_other["high"], color=colour, linewidth=2.2)
            axes.plot(of_other["difference"], places, "o", color=colour, markersize=5, label=method_name(other))
        axes.axvline(0, color="#20242c", linewidth=1)
        axes.set_yticks(range(len(occlusions)), [occlusion_name(name) for name in occlusions])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlabel(
            f"{method_name(str(rows['method'].iloc[0]))} minus the other method" + (f", {unit}" if unit else "")
        )
        axes.legend(frameon=False, ncols=len(others), loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return svg(figure)


def bars_by_method(by_clip: pd.DataFrame, unit: str, seed: int) -> str:
    """Means by method as bars, with one dot per clip.

    Args:
        by_clip: columns ``method, value`` of one metric, one row per clip.
        unit: its unit, for the axis.
        seed: of the horizontal jitter of the dots.
    """
    rng = np.random.default_rng(seed)
    methods = in_order(by_clip["method"], METHOD_ORDER)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9.6, 3.2))
        for place, method in enumerate(methods):
            values = by_clip.loc[by_clip["method"] == method, "value"]
            _bar_with_dots(axes, place, 0.7, values, colour_of(method, place), rng, alpha=0.55)
        labels = [fill(method_name(method), LABEL_LETTERS) for method in methods]
        axes.set_xticks(range(len(methods)), labels, fontsize=8)
        _finish_bars(axes, unit)
        return svg(figure)


def _bar_with_dots(
    axes: Axes,
    x: float,
    width: float,
    values: pd.Series,
    colour: str,
    rng: np.random.Generator,
    *,
    label: str | None = None,
    alpha: float = 1.0,
) -> None:
    """Draw the mean of the values as a bar and each value as a dot; nothing if there is no value."""
    values = values.dropna()
    if values.empty:
        return
    axes.bar(x, values.mean(), width, color=colour, label=label, alpha=alpha)
    jitter = rng.uniform(-0.33, 0.33, len(values)) * width
    axes.plot(x + jitter, values, "o", color="#20242c", alpha=0.4, markersize=2.6, mew=0)


def _finish_bars(axes: Axes, unit: str) -> None:
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(f"{unit}, lower is better" if unit else "lower is better")
    axes.set_ylim(bottom=0)


def loss_curves(history: pd.DataFrame) -> str | None:
    """Training and validation loss over steps on a logarithmic axis; None if there is nothing to draw.

    Phases that train the audio encoder are shaded. The error of sampled lips has an axis of its own below.

    Args:
        history: a column ``step`` (or ``epoch``) and numeric columns. Columns with ``loss`` in their name are drawn,
            validation losses dashed with markers. ``audio_phase``, if there is one, is the share of such a phase
            since the row before; ``validation_sampled_lips`` are millimetres.
    """
    numeric = history.select_dtypes("number")
    steps = next((name for name in ("step", "epoch") if name in numeric.columns), None)
    names = [name for name in numeric.columns if "loss" in str(name).lower()]
    if steps is None or not names or history.empty:
        return None
    lips = numeric[[steps, SAMPLED_LIPS]].dropna() if SAMPLED_LIPS in numeric.columns else numeric.iloc[:0]
    with plt.rc_context(STYLE):
        rows = 1 if lips.empty else 2
        figure, panels = plt.subplots(
            rows, squeeze=False, sharex=True, figsize=(4.7, 1.5 + 1.4 * rows), height_ratios=(1.7, 1)[:rows]
        )
        axes = panels[0, 0]
        for number, name in enumerate(names):
            validation = "val" in str(name).lower()
            values = numeric[[steps, name]].dropna()
            axes.plot(
                values[steps],
                values[name],
                "--o" if validation else "-",
                color=_VALIDATION if validation else ("#0b7a75", *SPARE_COLOURS)[number % 5],
                markersize=3,
                linewidth=1.5,
                label=str(name).replace("_", " "),
            )
        if (numeric[names].min() > 0).all():
            axes.set_yscale("log")
            for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                axis(FuncFormatter(lambda value, _: f"{value:.3g}"))
        if not lips.empty:
            panels[1, 0].plot(lips[steps], lips[SAMPLED_LIPS], "--o", color=_VALIDATION, markersize=3, linewidth=1.5)
            panels[1, 0].set_ylabel("sampled lips, mm")
        for panel in panels[:, 0]:
            _shade_audio_phases(panel, numeric, steps)
        panels[-1, 0].set_xlabel(steps)
        axes.legend(frameon=False)
        return svg(figure)


def _shade_audio_phases(axes: Axes, history: pd.DataFrame, steps: str) -> None:
    """Shade the steps of phases that train the audio encoder; a row that has only a part of one is paler."""
    if AUDIO_PHASE not in history.columns:
        return
    begin, label = 0.0, "audio encoder trained"
    for end, share in zip(history[steps], history[AUDIO_PHASE], strict=True):
        if share > 0:
            axes.axvspan(begin, end, color="#5b6ee1", alpha=0.16 * share, linewidth=0, label=label)
            label = ""
        begin = end


def clips_by_emotion(manifest: pd.DataFrame) -> str:
    """Number of clips per emotion, stacked by split."""
    counts = manifest.pivot_table(index="emotion", columns="split", values="clip", aggfunc="count", fill_value=0)
    splits = in_order([str(name) for name in counts.columns], ("train", "validation", "test", "unused"))
    palette = dict(
        zip(("train", "validation", "test", "unused"), ("#0b7a75", "#7fc8c2", "#e2a33d", "#c9ccd2"), strict=True)
    )
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.7, 2.6))
        bottom = np.zeros(len(counts))
        for number, split in enumerate(splits):
            colour = palette.get(split, SPARE_COLOURS[number % 4])
            axes.bar(counts.index.astype(str), counts[split], 0.7, bottom=bottom, color=colour, label=split)
            bottom += counts[split].to_numpy()
        axes.set_ylabel("clips")
        axes.tick_params(axis="x", length=0)
        axes.legend(frameon=False, ncols=len(splits), loc="upper center", bbox_to_anchor=(0.5, 1.22))
        return svg(figure)


def histogram(values: np.ndarray, label: str, interval: tuple[float, float]) -> str:
    """Histogram of one value per clip, with a line at the mean and a band for its interval.

    Args:
        values: (N,) the values.
        label: of the axis.
        interval: lower and upper limit of the mean; NaN: no band.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.7, 2.6))
        axes.hist(values, bins=min(24, max(5, len(values) // 3)), color="#7fc8c2", edgecolor="white", linewidth=0.6)
        mean = float(values.mean())
        axes.axvline(mean, color="#0b7a75", linewidth=1.5)
        if np.isfinite(interval).all():
            axes.axvspan(*interval, color="#b3261e", alpha=0.25, linewidth=0)
        text = f"mean {cell_text(mean, *interval, 2)}"
        axes.text(mean, 1.02, text, transform=axes.get_xaxis_transform(), color="#0b7a75", ha="center", fontsize=9)
        axes.set_xlabel(label)
        axes.set_ylabel("clips")
        return svg(figure)
