"""List the clips of all shards for training."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.open_weights import LandmarkClipSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.landmark_clips import list_landmark_clips

    list_landmark_clips(
        [Path(path) for path in snakemake.input.shards],
        Path(snakemake.output.manifest),
        settings=from_params(LandmarkClipSettings, snakemake.params.settings),
    )
