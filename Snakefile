# From archives of talking videos to 3D facial motion and a report; see docs/workflow.md.
from snakemake.utils import min_version

min_version("9.0")


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
        f"{RUN}/report.html",


include: "rules/targets.smk"
include: "rules/acquire.smk"
include: "rules/preprocess.smk"
include: "rules/reconstruct.smk"
include: "rules/chunks.smk"
include: "rules/manifest.smk"
include: "rules/pack.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
include: "rules/runs.smk"
include: "rules/predict.smk"
include: "rules/benchmark.smk"
include: "rules/open_weights.smk"
include: "rules/readers.smk"
include: "rules/occlusion_weights.smk"
