"""Occlude the test clips, reconstruct them by every method, and score."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.evaluation import EvaluationSettings
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.evaluate import Tables, evaluate

    evaluate(
        Path(snakemake.input.manifest),
        [Path(path) for path in snakemake.input.clips],
        [Path(path) for path in snakemake.input.audio],
        [Path(path) for path in snakemake.input.coefficients],
        Path(snakemake.input.head),
        Path(snakemake.input.motion_prior[0]).parent,
        Path(snakemake.input.denoiser[0]).parent,
        Path(snakemake.output.metrics),
        Path(snakemake.output.metrics_by_clip),
        Path(snakemake.output.predictions),
        Path(snakemake.output.failures),
        Tables(
            paired=Path(snakemake.output.paired),
            by_group=Path(snakemake.output.by_group),
            markdown=Path(snakemake.output.markdown),
            latex=Path(snakemake.output.latex),
        ),
        dataset=snakemake.config["dataset"],
        settings=from_params(EvaluationSettings, snakemake.params.settings),
        reconstruction=from_params(ReconstructionSettings, snakemake.params.reconstruction),
        seed=snakemake.params.seed,
        device=snakemake.config["device"],
        initial_dir=Path(snakemake.input.initial[0]).parent if snakemake.input.initial else None,
        phones=[Path(path) for path in snakemake.input.phones] or None,
        occlusion_seed=snakemake.params.occlusion_seed,
    )
