"""Detect the face landmarks in every frame of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.landmarks import detect_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    video = Path(snakemake.input.index)
    detect_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        subject_file(snakemake.output.landmarks, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(LandmarkSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
