# From archives of talking faces to a report on what was recovered of hidden motion; docs/workflow.md explains it.
from snakemake.utils import min_version

min_version("9.0")


# Lies under every file given by --configfile, and under --config.
configfile: f"{workflow.basedir}/config/default.yaml"


include: "rules/common.smk"


wildcard_constraints:
    subject=NAME.pattern,
    chunk=r"\d+of\d+",


onstart:
    require_writable()


localrules:
    all,


rule all:
    input:
        wanted,


include: "rules/targets.smk"
include: "rules/acquire.smk"
include: "rules/preprocess.smk"
include: "rules/reconstruct.smk"
include: "rules/chunks.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
include: "rules/predict.smk"
include: "rules/benchmark.smk"
include: "rules/open_weights.smk"
