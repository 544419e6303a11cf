"""Find the face landmarks on every frame of one subject's clips."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.chunks import whole
    from occlufacediff.stages.landmarks import detect_subject

    chunk = snakemake.wildcards.get("chunk")
    video = Path(snakemake.input.index)
    detect_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        whole(snakemake.output.landmarks, chunk),
        whole(snakemake.output.index, chunk),
        settings=from_params(LandmarkSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
