"""Convert one subject's clips to 25 frames per second."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.video import VideoSettings
    from occlufacediff.stages.video import convert_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    raw, index = Path(snakemake.input.index), subject_file(snakemake.output.index, chunk)
    convert_subject(
        snakemake.wildcards.subject,
        raw.parent,
        raw,
        index.parent,
        index,
        settings=from_params(VideoSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
