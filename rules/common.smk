# Functions the rules share: settings, the walk over iterations, which trajectory a model follows.
# Needs the config; makes nothing.

import fcntl
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from zbo import config as studies
from zbo import families, image_sources, storage
from zbo.errors import InputError
from zbo.stopping import negligible

# In the order of the story; each is a rule and a script of the same name.
FIGURES = [
    "overview",
    "images",
    "trajectories",
    "latent_space",
    "surrogate",
    "convergence",
    "optimum",
    "manifolds",
    "scores",
]

MODELS = ("vanilla", "beta-1", "constant", "optimum")

# What each stage depends on: a change anywhere else does not run it again. The budget and the
# stopping rule are in no iteration's, so changing them continues a search or cuts it short.
STAGES = {
    "images": ["seed", "images"],
    "trajectories": ["seed", "trajectories"],
    "trajectory_vae": ["seed", "trajectories.bounds", "trajectory_vae"],
    "space": ["trajectories.bounds", "trajectory_vae", "space"],
    "design": ["seed", "search.initial", "search.design"],
    "constants": ["trajectories.bounds", "trajectories.cycles", "compare.constants"],
    "evaluate": [
        "seed",
        "trajectories.beta_d",
        "model",
        "training",
        "objective",
        "search.replicates",
        "search.seeds",
    ],
    "bo_iteration": [
        "seed",
        "search.batch_size",
        "search.surrogate",
        "search.acquisition",
        "search.ucb_beta",
    ],
    "model": [
        "seed",
        "trajectories.cycles",
        "trajectories.beta_d",
        "model",
        "training",
        "objective",
        "compare.unit_pixels",
    ],
    "optimum": ["search.stop_threshold", "search.stop_patience"],
    "scores": ["model.classes"],
}

try:
    STUDIES = {
        name: studies.load(name, str(config.get("set") or ""))
        for name in studies.studies(config)
    }
except InputError as error:
    raise WorkflowError(str(error)) from None


def settings_for(stage):
    """Give a rule its part of the study's settings as JSON, sorted, so that equal means equal."""

    def settings(wildcards):
        chosen = studies.pick(STUDIES[wildcards.study], STAGES[stage])
        search = chosen.get("search", {})
        if search.get("acquisition", "ucb") != "ucb":
            search.pop("ucb_beta", None)  # means nothing then
        if own := own_functions(chosen):
            chosen["own_functions"] = own
        return json.dumps(chosen, sort_keys=True)

    return settings


def own_functions(chosen):
    """Digests of the files of a person's own functions, so that editing one is noticed."""
    named = [
        *chosen.get("trajectories", {}).get("families", []),
        chosen.get("space", {}).get("constraint", ""),
        chosen.get("objective", {}).get("name", ""),
    ]
    return {name: families.source_digest(name) for name in named if ":" in name}


def image_files(wildcards):
    """List the image and label files on this machine, so that replacing one is noticed."""
    chosen = STUDIES[wildcards.study]["images"]
    return image_sources.files(chosen["source"], chosen["path"], chosen["labels"])


def budget(wildcards):
    return STUDIES[wildcards.study]["search"]["iterations"]


def trials_of(study, candidates):
    """Name the trials of a file of candidates: "design", "constant" or an iteration."""
    search = STUDIES[study]["search"]
    counts = {
        "design": search["initial"],
        "constant": STUDIES[study]["compare"]["constants"],
    }
    count = counts.get(candidates, search["batch_size"])
    return [f"results/{study}/trials/{candidates}-{index}.h5" for index in range(count)]


def candidates_before(wildcards):
    """The design, or the iteration before this one."""
    k = int(wildcards.iteration)
    return (
        f"results/{wildcards.study}/iterations/{k - 1:03d}.h5"
        if k
        else f"results/{wildcards.study}/design.h5"
    )


def trials_before(wildcards):
    """The trials that the design, or the iteration before this one, asked for."""
    k = int(wildcards.iteration)
    return trials_of(wildcards.study, f"{k - 1:03d}" if k else "design")


def trials_of_constants(wildcards):
    return trials_of(wildcards.study, "constant")


def candidates_of_trial(wildcards):
    """The file that holds a trial's trajectory."""
    source = wildcards.trial.rpartition("-")[0]
    places = {"design": "design.h5", "constant": "constants.h5"}
    return f"results/{wildcards.study}/{places.get(source, f'iterations/{source}.h5')}"


def index_of_trial(wildcards):
    return int(wildcards.trial.rpartition("-")[2])


def last_iteration(wildcards):
    """The iteration that ends the study's search."""
    return last_iteration_of(wildcards.study)


def last_iterations(wildcards):
    """The last iteration of every study."""
    return [last_iteration_of(study) for study in STUDIES]


def last_iteration_of(study):
    """Walk to the iteration that ends the search, asking for one more while none does.

    The walk reads the disk first and calls the checkpoint only where it ends: called from the first
    iteration on, each call would plan the whole workflow again.
    """
    search = STUDIES[study]["search"]
    k = 0
    while k < search["iterations"]:
        path = Path(f"results/{study}/iterations/{k:03d}.h5")
        if not path.exists():
            break
        improvements, spread = course(path, path.stat().st_mtime_ns)
        if negligible(
            improvements, spread, search["stop_threshold"], search["stop_patience"]
        ):
            break
        k += 1
    done = checkpoints.bo_iteration.get(study=study, iteration=f"{k:03d}")
    return done.output[0]


@cache
def course(path, changed):
    """What decides whether an iteration ends the search; read again only when the file changed."""
    try:
        iteration = storage.read(
            path, kind="candidates", only=("improvements", "spread")
        )
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return iteration["improvements"].tolist(), float(iteration["spread"])


def trajectory_of_model(wildcards):
    """The file with the trajectory a compared model follows; none where it is constant 1."""
    places = {"optimum": "optimum.h5", "constant": "best_constant.h5"}
    if wildcards.model not in places:
        return []
    return f"results/{wildcards.study}/{places[wildcards.model]}"


def models_of_study(wildcards):
    """Every compared model, once a seed."""
    compare = STUDIES[wildcards.study]["compare"]
    return [
        f"results/{wildcards.study}/models/{model}-{replicate}.h5"
        for model in compare["models"]
        for replicate in range(compare["seeds"])
    ]


def best_constant_of_study(wildcards):
    """The best constant trajectory, where the study compares with it."""
    if "constant" not in STUDIES[wildcards.study]["compare"]["models"]:
        return []
    return f"results/{wildcards.study}/best_constant.h5"


def light_rules():
    """Rules of seconds: all but those that ask for a GPU or train the trajectory VAE."""
    heavy = {"trajectory_vae", "search_space"}
    return [
        each.name
        for each in workflow.rules
        if each.name not in heavy and "gpu" not in each.resources
    ]


def refuse_company():
    """Refuse to run beside another run, or beside Slurm jobs that a killed one left."""
    if "ZBO_LOCKED" not in os.environ and Path(".zbo.lock").exists():
        with open(".zbo.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkflowError("another run is at work in this folder") from None
    if not shutil.which("squeue"):
        return
    script = Path(workflow.basedir) / "profiles/slurm/jobs.sh"
    asked = subprocess.run([script], capture_output=True, text=True, check=False)
    if jobs := " ".join(asked.stdout.split()):
        raise WorkflowError(
            f"Slurm jobs of another run are at work in this folder: {jobs}. "
            "profiles/slurm/run.sh waits for them and goes on; "
            "`scancel $(profiles/slurm/jobs.sh)` stops them."
        )
