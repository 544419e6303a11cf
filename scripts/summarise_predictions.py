"""Join the rows of all predicted videos."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.stages.predict_videos import join_summaries

    join_summaries(map(Path, snakemake.input.rows), Path(snakemake.output[0]))
