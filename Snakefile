# zBO: latent Bayesian optimization of training trajectories, from images to figures.
# Which studies run is config/config.yaml's to say; on which machine, a profile's.

import os
from pathlib import Path
from snakemake.utils import min_version

min_version("9.0")

# Code, captions and the studies that come with zBO lie beside this file. Results, logs and studies of
# one's own are the working folder's, which may be another (`--directory`).
PROJECT = Path(workflow.current_basedir)


OWN_CONFIG = "config/config.yaml"
CONFIG = OWN_CONFIG if os.path.exists(OWN_CONFIG) else str(PROJECT / OWN_CONFIG)


configfile: CONFIG


include: "rules/common.smk"


# Used where Snakemake is told to (`--sdm apptainer`); built by `make image`.
if not LACKING:

    container: IMAGE


wildcard_constraints:
    study="|".join(studies.known()),
    # A study's own images, or new ones its kept model was applied to.
    sample=f"({'|'.join(studies.known())})(/apply/[^/]+)?",
    new=r"[^/]+",
    trial=rf"(design|{'|'.join(compared.SCHEDULES)}|\d+)-\d+",
    schedule="|".join(compared.SCHEDULES),
    iteration=r"\d+",
    model=compared.PATTERN,
    paper="paper|paper-reduced",
    replicate=r"\d+",
    block=r"\d+",
    search=r"[a-z-]+",
    repeat=r"\d+",
    objective=r"[^/]+",


include: "rules/data.smk"
include: "rules/trajectories.smk"
include: "rules/search.smk"
include: "rules/judge.smk"
include: "rules/rivals.smk"
include: "rules/drawing.smk"


rule all:
    """Optimize, compare and draw every study named in the config."""
    input:
        # Named here as well as behind the optimum: else a raised budget goes unseen.
        last_iterations,
        expand("results/{study}/scores.csv", study=RUN),
        expand("results/{study}/classes.csv", study=RUN),
        [figure for study in RUN for figure in figures_of(study, "pdf")],


rule search:
    """Optimize alone: neither models nor figures."""
    input:
        last_iterations,
        expand("results/{study}/optimum.h5", study=RUN),


# On a cluster these run beside Snakemake; what is left is a job each.
workflow.localrules(*light_rules())


onstart:
    need_image()
    stay_alone()
    name_commit()
    start_warm()
