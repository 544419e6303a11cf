"""Write the metrics of all runs of a data set to one table, and compare the runs in pairs."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.stages.compare_runs import compare_runs

    # The paths are <run>/evaluation/metrics.csv.
    compare_runs(
        [Path(path).parent.parent for path, *_ in snakemake.params.metrics],
        Path(snakemake.output.table),
        Path(snakemake.output.paired),
        Path(snakemake.output.page),
        dataset=snakemake.config["dataset"],
    )
