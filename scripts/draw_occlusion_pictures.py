"""Draw a shard of pictures for the occlusion network."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.occlusion_weights import OcclusionPictures
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.occlusion_pictures import draw_pictures

    draw_pictures(
        snakemake.wildcards.shard,
        Path(snakemake.input.head),
        Path(snakemake.output.pictures),
        settings=from_params(OcclusionPictures, snakemake.params.settings),
        seed=snakemake.params.seed,
    )
