"""Paint an occluder into each of one subject's test videos, and find landmarks and occlusions under it."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.evaluation import EvaluationSettings
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.paint_occluders import paint_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    paint_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.manifest),
        Path(snakemake.input.videos),
        Path(snakemake.input.clips),
        subject_file(snakemake.output.painted, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(EvaluationSettings, snakemake.params.settings),
        landmarks=from_params(LandmarkSettings, snakemake.params.landmarks),
        seed=snakemake.params.seed,
        crop_scale=snakemake.params.crop_scale,
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
