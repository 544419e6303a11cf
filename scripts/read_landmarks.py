"""Read the published landmarks of one subject's clips."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.published import PublishedSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.chunks import whole
    from occlufacediff.stages.published_landmarks import read_landmarks_subject

    chunk = snakemake.wildcards.get("chunk")
    video = Path(snakemake.input.index)
    read_landmarks_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        Path(snakemake.input.published),
        whole(snakemake.output.landmarks, chunk),
        whole(snakemake.output.index, chunk),
        settings=from_params(PublishedSettings, snakemake.params.settings),
        min_found=snakemake.params.min_found,
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
