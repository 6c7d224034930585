# Functions the rules share: settings, the walk over iterations, which trajectory a model follows.
# Needs the config; makes nothing.

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))

from zbo.base import channels, own, storage
from zbo.data import sources
from zbo.base import config as studies
from zbo.base.errors import InputError
from zbo.search.stopping import negligible

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

# Of the paper, each a rule in rules/paper.smk.
PAPER_FIGURES = [*(f"fig{number:02d}" for number in range(3, 13)), "figB1", "figB2"]

# What each stage depends on: a change anywhere else does not run it again. The budget and the
# stopping rule are in no iteration's, so changing them continues a search or cuts it short.
STAGES = {
    "images": ["seed", "images"],
    "trajectories": ["seed", "trajectories"],
    "trajectory_vae": ["seed", "trajectories.bounds", "trajectory_vae"],
    "space": ["trajectories.bounds", "trajectory_vae", "space"],
    "design": ["seed", "search.initial", "search.design"],
    "constants": ["trajectories.bounds", "trajectories.cycles", "compare.constants"],
    "transfer": ["trajectories.bounds", "trajectories.cycles"],
    "train_trial": [
        "seed",
        "trajectories.beta_d",
        "model",
        "training",
        "search.replicates",
        "search.seeds",
    ],
    "bo_iteration": [
        "seed",
        "objective",
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
    ],
    "best_constant": ["objective"],
    "optimum": ["search.stop_threshold", "search.stop_patience"],
    "scores": ["objective", "model.classes"],
    "objectives": ["seed"],
    "searches": ["seed", "rivals.budget", "rivals.replays"],
    "rival": [
        "seed",
        "trajectories.bounds",
        "trajectories.families",
        "trajectories.beta_d",
        "trajectories.cycles",
        "model",
        "training",
        "objective",
        "rivals.budget",
        "rivals.fresh_seeds",
    ],
    "ground": [
        "seed",
        "images",
        "trajectories",
        "trajectory_vae",
        "model",
        "training",
        "objective.grid",
        "objective.window",
        "objective.sigma",
        "objective.pairs",
        "compare.unit_pixels",
        "ground",
    ],
    "ground_design": [
        "seed",
        "trajectories.bounds",
        "trajectories.cycles",
        "trajectory_vae",
        "ground.points",
        "ground.seeds",
        "ground.constants",
        "ground.constant_seeds",
    ],
    "ground_block": [
        "seed",
        "trajectories.beta_d",
        "model",
        "training",
        "objective.grid",
        "objective.window",
        "objective.sigma",
        "objective.pairs",
        "ground.block",
    ],
}


STAGES["stated_model"] = [*STAGES["model"], "compare.unit_pixels"]


class Studies(dict):
    """Settings by study, each read when first asked for; `set` changes those to run."""

    def __missing__(self, name):
        try:
            changes = str(config.get("set") or "") if name in RUN else ""
            return self.setdefault(name, studies.load(name, changes))
        except InputError as error:
            raise WorkflowError(str(error)) from None


try:
    RUN = studies.studies(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

# Where the paper's figures and claims go, at the scale asked for: results/paper or -reduced.
PAPER = "paper-reduced" if config.get("scale") == "reduced" else "paper"

STUDIES = Studies()
for named in RUN:
    STUDIES[named]  # a mistake ends here, before anything is planned


def study_of_paper(name, paper):
    """Name one of the paper's studies at the scale of a folder, "paper" or "paper-reduced"."""
    return studies.at_scale(name, paper.removeprefix("paper-"))


def pages_of_paper(wildcards):
    """What the report shows of the paper: claims and figures, where all its studies are run."""
    needed = {study_of_paper(name, PAPER) for name in studies.PAPER_STUDIES}
    shown = ["claims.csv", *(f"{name}.png" for name in PAPER_FIGURES), "objective.png"]
    return [f"results/{PAPER}/{file}" for file in shown] if needed <= set(RUN) else []


def folders_of_studies(wildcards):
    return [f"results/{study}" for study in RUN]


def in_paper(name, file):
    """Name a file of one of the paper's studies, at the scale of the config."""
    return f"results/{study_of_paper(name, PAPER)}/{file}"


def models_in_paper(name):
    """The models that one of the paper's studies compares."""
    return models_of(study_of_paper(name, PAPER))


def last_iteration_in_paper(name):
    """Give a rule the last iteration of one of the paper's studies."""

    def last(wildcards):
        return last_iteration_of(study_of_paper(name, PAPER))

    return last


def of_paper(path):
    """Give a rule one file of each of the paper's studies, at the scale of {paper}."""

    def files(wildcards):
        return [
            path.format(study=study_of_paper(name, wildcards.paper))
            for name in studies.PAPER_STUDIES
        ]

    return files


def settings_for(stage):
    """Give a rule its part of the study's settings as JSON, sorted, so that equal means equal."""

    def settings(wildcards):
        chosen = studies.pick(STUDIES[wildcards.study], STAGES[stage])
        search = chosen.get("search", {})
        if search.get("acquisition", "ucb") != "ucb":
            search.pop("ucb_beta", None)  # means nothing then
        if "bounds" in chosen.get("trajectories", {}):
            # Where beta_d has bounds they are searched with beta_c's; a number says nothing here.
            beta_d = STUDIES[wildcards.study]["trajectories"]["beta_d"]
            if channels.has_bounds(beta_d):
                chosen["trajectories"]["beta_d"] = beta_d
        if own := own_functions(chosen):
            chosen["own_functions"] = own
        if stage == "images" and (seen := image_files(wildcards)):
            chosen["files"] = sources.digest(seen)
        return json.dumps(chosen, sort_keys=True)

    return settings


def own_functions(chosen):
    """Digests of the files of a person's own functions, so that editing one is noticed."""
    named = [
        *chosen.get("trajectories", {}).get("families", []),
        chosen.get("space", {}).get("constraint", ""),
        chosen.get("objective", {}).get("name", ""),
    ]
    return {name: own.source_digest(name) for name in named if ":" in name}


def image_files(wildcards):
    """List the image and label files on this machine, so that replacing one is noticed.

    Their digest is one of the settings: a file copied with its time may be older than the last.
    """
    chosen = STUDIES[wildcards.study]["images"]
    return sources.files(chosen["source"], chosen["path"], chosen["labels"])


def budget(wildcards):
    return STUDIES[wildcards.study]["search"]["iterations"]


def batch_size(wildcards):
    return STUDIES[wildcards.study]["search"]["batch_size"]


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
    return [last_iteration_of(study) for study in RUN]


def last_iterations_of_paper(wildcards):
    """The last iteration of each of the paper's studies, at the scale of the config."""
    return [
        last_iteration_of(study_of_paper(name, PAPER)) for name in studies.PAPER_STUDIES
    ]


def last_iteration_of(study):
    """Walk to the iteration that ends the search, asking for one more while none does.

    The walk reads the disk first, with one look at a file since Snakemake asks several times an
    iteration, and calls the checkpoint only where it ends: called from the first iteration on, each
    call would plan the whole workflow again.
    """
    search = STUDIES[study]["search"]
    k = 0
    while k < search["iterations"]:
        path = f"results/{study}/iterations/{k:03d}.h5"
        try:
            improvements, spread = course(path, os.stat(path).st_mtime_ns)
        except FileNotFoundError:
            break
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
            path, kind="iteration", only=("improvements", "spread")
        )
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return iteration["improvements"].tolist(), float(iteration["spread"])


def trajectory_of_model(wildcards):
    """The file with the trajectory a compared model follows; none where its name says it."""
    places = {
        "optimum": "optimum.h5",
        "constant": "best_constant.h5",
        "transfer": "transfer.h5",
    }
    if wildcards.model not in places:
        return []
    return f"results/{wildcards.study}/{places[wildcards.model]}"


def settings_of_model(wildcards):
    """Settings of a compared model; those whose name states a constant scale it by the pixels."""
    scaled = wildcards.model == "vae" or wildcards.model.startswith("beta-")
    return settings_for("stated_model" if scaled else "model")(wildcards)


def optimum_to_transfer(wildcards):
    """The optimum of the study that model transfer borrows from."""
    source = STUDIES[wildcards.study]["compare"]["transfer"]
    if source not in studies.known():
        raise WorkflowError(
            f"compare.transfer: study {wildcards.study} names '{source}', no study; choose from "
            + ", ".join(studies.known())
        )
    return f"results/{source}/optimum.h5"


def bounds_to_transfer(wildcards):
    """The bounds of the study that model transfer borrows from, one after another."""
    source = STUDIES[STUDIES[wildcards.study]["compare"]["transfer"]]
    searched = channels.each(channels.bounds(source["trajectories"]))
    return [end for ends in searched for end in ends]


def models_of_study(wildcards):
    return models_of(wildcards.study)


def models_of(study):
    """Every compared model, once a seed."""
    compare = STUDIES[study]["compare"]
    return [
        f"results/{study}/models/{model}-{replicate}.h5"
        for model in compare["models"]
        for replicate in range(compare["seeds"])
    ]


def best_constant_of_study(wildcards):
    """The best constant trajectory, where the study compares with it."""
    if "constant" not in STUDIES[wildcards.study]["compare"]["models"]:
        return []
    return f"results/{wildcards.study}/best_constant.h5"


def blocks_of_ground(wildcards):
    """Every block of the measuring ground."""
    chosen = STUDIES[wildcards.study]["ground"]
    trainings = (
        chosen["points"] * chosen["seeds"]
        + chosen["constants"] * chosen["constant_seeds"]
    )
    return [
        f"results/{wildcards.study}/ground/{block}.h5"
        for block in range(-(-trainings // chosen["block"]))
    ]


def rivals_of_study(wildcards):
    """Every search that is run for real, each as often as the study says."""
    chosen = STUDIES[wildcards.study]["rivals"]
    return [
        f"results/{wildcards.study}/rivals/{search}-{repeat}.h5"
        for search in chosen["searches"]
        for repeat in range(chosen["repeats"])
    ]


def light_rules():
    """Rules of seconds: all but those that ask for a GPU and those named here."""
    heavy = {"trajectory_vae", "search_space", "ground_block", "searches", "rival"}
    return [
        each.name
        for each in workflow.rules
        if each.name not in heavy and "gpu" not in each.resources
    ]


def name_commit():
    """Tell the jobs, which in the image have no git to ask, which code runs."""
    if (commit := storage.commit()) != "unknown":
        # The second is what an image takes in place of its own.
        os.environ.update(ZBO_COMMIT=commit, APPTAINERENV_ZBO_COMMIT=commit)


def allow_warm_start():
    """Name this run to its jobs where they run beside Snakemake (scripts/warm.py)."""
    if os.environ.get("ZBO_WARM") == "off":
        return
    os.environ.pop("ZBO_WARM", None)
    if workflow.is_main_process and workflow.local_exec:
        os.environ.update(ZBO_WARM=f"{os.getpid()}-{uuid4().hex}")
        if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
            keep_container()


def keep_container():
    """Keep a container for this run's copies beside those of its jobs, started as theirs are."""
    options = shlex.split(workflow.deployment_settings.apptainer_args)
    # Snakemake has found one of them.
    apptainer = shutil.which("apptainer") or shutil.which("singularity")
    subprocess.Popen(
        [
            *(apptainer, "--quiet", "exec", "--home", os.getcwd(), *options),
            *(IMAGE, "python", "scripts/warm.py", "--keep"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # not ended by the terminal's interrupt, but with Snakemake
    )


def stay_alone():
    """Refuse to run beside another run or its Slurm jobs; wait for what a killed one left here."""
    global LOCK
    if "ZBO_LOCKED" not in os.environ:
        LOCK = open(".zbo.lock", "a")  # held as long as this process lives
        try:
            fcntl.flock(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkflowError("another run is at work in this folder") from None
        os.environ.update(ZBO_LOCKED="1")
    if shutil.which("squeue"):
        script = Path(workflow.basedir) / "profiles/slurm/jobs.sh"
        asked = subprocess.run([script], capture_output=True, text=True, check=False)
        if jobs := " ".join(asked.stdout.split()):
            raise WorkflowError(
                f"Slurm jobs of another run are at work in this folder: {jobs}. "
                "profiles/slurm/run.sh waits for them and goes on; "
                "`scancel $(profiles/slurm/jobs.sh)` stops them."
            )
    said = ""
    # Else one of other settings might end last, and its file be taken for this run's.
    while left := " ".join(map(str, jobs_of_killed_run())):
        if left != said:
            logger.warning(
                f"Waiting for jobs of a killed run; to stop them: kill {left}"
            )
        said = left
        time.sleep(0.5)


def jobs_of_killed_run():
    """Process ids of jobs at work in this folder that this run has not started."""
    here, own = os.getcwd(), {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            # What a run starts has its mark.
            elsewhere = process.pid in own or process.cwd() != here
            if not elsewhere and "ZBO_LOCKED" in process.environ():
                yield process.pid
        except psutil.Error:  # another person's, or ended
            continue
