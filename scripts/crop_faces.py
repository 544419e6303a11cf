"""Crop the faces of one subject's clips and normalise their landmarks."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.crop import CropSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.config.visibility import VisibilitySettings
    from occlufacediff.stages.crop import crop_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    video = Path(snakemake.input.index)
    crop_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        Path(snakemake.input.landmarks),
        subject_file(snakemake.output.clips, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(CropSettings, snakemake.params.settings),
        visibility=from_params(VisibilitySettings, snakemake.params.visibility),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
