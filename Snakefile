# zBO: latent Bayesian optimization of training trajectories, from images to figures.
# Which studies run is config/config.yaml's to say; on which machine, a profile's.

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


# Used where Snakemake is told to (`--sdm apptainer`); built by `make image`.
IMAGE = "containers/zbo.sif"


container: IMAGE


include: "rules/common.smk"


# The code that lies here runs, in the image and on every node, whatever is installed there.
shell.prefix(f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(SCRIPTS))}; ")


wildcard_constraints:
    study="|".join(studies.known()),
    trial=r"(design|constant|\d+)-\d+",
    iteration=r"\d+",
    model=r"[a-z]+(-[0-9.]+)?",
    paper="paper|paper-reduced",
    replicate=r"\d+",
    block=r"\d+",
    search=r"[a-z-]+",
    repeat=r"\d+",
    objective=r"[^/]+",


rule all:
    """Optimize, compare and draw every study named in the config."""
    input:
        # Named here as well as behind the optimum: else a raised budget goes unseen.
        last_iterations,
        expand("results/{study}/scores.csv", study=RUN),
        expand("results/{study}/figures/{figure}.pdf", study=RUN, figure=FIGURES),


rule search:
    """Optimize alone: neither models nor figures."""
    input:
        last_iterations,
        expand("results/{study}/optimum.h5", study=RUN),


include: "rules/data.smk"
include: "rules/trajectories.smk"
include: "rules/search.smk"
include: "rules/compare.smk"
include: "rules/figures.smk"
include: "rules/ground.smk"
include: "rules/rivals.smk"
include: "rules/paper.smk"
include: "rules/claims.smk"
include: "rules/report.smk"


# On a cluster these run beside Snakemake; what is left is a job each.
workflow.localrules(*light_rules())


onstart:
    stay_alone()
    name_commit()
    allow_warm_start()
