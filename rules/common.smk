# Functions the rules share: settings, the walk over iterations, which trajectory a model follows.
# Needs the config; makes nothing.

import json
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from zbo import config as studies
from zbo import storage
from zbo.errors import InputError

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

# What each stage depends on: a change anywhere else does not run it again. The budget
# (search.iterations) is in none of them, so raising it continues a search.
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
        "search.stop_threshold",
        "search.stop_patience",
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
        return json.dumps(chosen, sort_keys=True)

    return settings


def image_files(wildcards):
    """List the person's own image and label files, so that replacing them is noticed."""
    chosen = STUDIES[wildcards.study]["images"]
    if chosen["source"] != "files":
        return []
    return [path for path in (chosen["path"], chosen["labels"]) if path]


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
    iterations = Path(f"results/{study}/iterations")
    k = 0
    while k < STUDIES[study]["search"]["iterations"]:
        path = iterations / f"{k:03d}.h5"
        if not path.exists() or stop_of(path, path.stat().st_mtime_ns):
            break
        k += 1
    done = checkpoints.bo_iteration.get(study=study, iteration=f"{k:03d}")
    return done.output[0]


@cache
def stop_of(path, changed):
    """Why an iteration ends the search, or ""; read again only when the file has changed."""
    try:
        return storage.read(path, kind="candidates")["stop"]
    except InputError:
        path.unlink()  # damaged: as good as missing, and made again from the trials
        return "damaged"


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
