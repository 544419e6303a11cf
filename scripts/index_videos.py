"""Write the index of one speaker's ordinary videos."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.datasets.ordinary_videos import OrdinaryVideo
    from occlufacediff.stages.ordinary_videos import index_videos

    index_videos(
        [OrdinaryVideo(**video) for video in snakemake.params.videos],
        Path(snakemake.output.index),
        Path(snakemake.output.sentences),
    )
