# What all rules share: where the code lies, which studies run, the settings a rule depends on.
# Every other function stands beside the rules that use it.

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from uuid import uuid4

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(PROJECT / "scripts"))

from zbo.base import channels, compared, own, runs, storage
from zbo.data import sources
from zbo.base import config as studies
from zbo.base.errors import InputError
from zbo.search.stopping import negligible

# As commands and rules name them: where the workflow runs in its own folder, as short as they are.
BESIDE = "" if PROJECT.samefile(os.getcwd()) else f"{PROJECT}/"
SCRIPTS = f"{BESIDE}scripts"
CAPTIONS = f"{BESIDE}rules/captions"

# The working folder's image, if it has one. Snakemake takes no name with a space in it.
IMAGE = "containers/zbo.sif"
if not os.path.exists(IMAGE):
    IMAGE = f"{BESIDE}{IMAGE}"
if len(IMAGE.split()) > 1:
    os.makedirs(".snakemake", exist_ok=True)
    with tempfile.TemporaryDirectory(dir=".snakemake") as beside:
        os.symlink(IMAGE, f"{beside}/zbo.sif")
        os.replace(f"{beside}/zbo.sif", ".snakemake/zbo.sif")
    IMAGE = ".snakemake/zbo.sif"

# A dry run plans anywhere; what its jobs would lack is said now, and ends a real run as it starts.
LACKING = ""
if (
    workflow.is_main_process
    and DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
):
    if not (shutil.which("apptainer") or shutil.which("singularity")):
        LACKING = "There is no Apptainer here, and the profile runs jobs in it: install it, or take its two lines out of the profile"
    elif not os.path.exists(IMAGE):
        LACKING = f"There is no image {IMAGE}: make it (`make image`) or copy it"
    if LACKING:
        logger.warning(LACKING)

# Taken before anything is planned: a plan made while another run works is out of date. Slurm may
# start a job again while its last run is still ending.
if workflow.is_main_process:
    LOCK = runs.Lock(".zbo.lock", 60 * ("SLURM_RESTART_COUNT" in os.environ))

# The code that lies there runs, in the image and on every node, whatever is installed there.
shell.prefix(
    f"set -euo pipefail; SCRIPTS={shlex.quote(SCRIPTS)}; "
    f"export PYTHONPATH={shlex.quote(str(PROJECT / 'scripts'))}; "
)


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

# The image's jobs see the working folder alone by themselves.
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    images = [chosen["images"] for chosen in STUDIES.values()]
    given = [each[key] for each in images for key in ("path", "labels")]
    given += [(each["patches"] or {}).get("coordinates") for each in images]
    given += [config.get("images"), config.get("coordinates")]
    seen = map(str, filter(None, [PROJECT, os.environ.get("ZBO_MNIST"), *given]))
    runs.bind(map(os.path.expanduser, map(os.path.expandvars, seen)))

for named in studies.covered():
    logger.warning(
        f"Study {named} is config/studies/{named}.yaml of this folder, not the one that comes with zBO"
    )


def settings_for(*keys):
    """Give a rule the settings that it depends on; a change of any other does not run it again.

    They come as JSON, sorted, so that equal means equal. A person's own function comes with the
    digest of its file, so that editing it counts as a change.
    """

    def settings(wildcards):
        chosen = studies.pick(STUDIES[wildcards.study], keys)
        if own := digests_of_own_functions(chosen):
            chosen["own_functions"] = own
        return json.dumps(chosen, sort_keys=True)

    return settings


def in_latents(study):
    """Whether a study's search space is of a trajectory VAE's latents."""
    return STUDIES[study]["space"]["coordinates"] == "latents"


def digests_of_own_functions(chosen):
    goal = chosen.get("objective", {})
    maximized = goal.get("name", "")
    named = [
        *chosen.get("trajectories", {}).get("families", []),
        chosen.get("space", {}).get("constraint", ""),
        (chosen.get("images", {}).get("patches") or {}).get("function") or "",
        *([maximized] if isinstance(maximized, str) else maximized),
        *goal.get("at_least", {}),
    ]
    return {name: own.source_digest(name) for name in named if ":" in name}


def light_rules():
    """Rules of seconds: all but those that ask for a GPU and those named here."""
    heavy = {
        "train_trajectory_vae",
        "build_space",
        "measure_ground",
        "compare_searches",
        "run_search",
    }
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


def start_warm():
    """Name this run to its jobs where they run beside Snakemake, without an image (zbo.base.warm)."""
    wanted = os.environ.pop("ZBO_WARM", "")
    contained = (
        DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
    )
    if wanted != "off" and workflow.local_exec and not contained:
        os.environ.update(ZBO_WARM=f"{os.getpid()}-{uuid4().hex}")


def need_image():
    """Refuse to start jobs in an image where there is none, or no Apptainer."""
    if LACKING:
        raise WorkflowError(LACKING)


def stay_alone():
    """Refuse to run beside another run or its Slurm jobs; wait for what a killed one left here."""
    if LOCK.taken:
        raise WorkflowError("another run is at work in this folder")
    if LOCK.error:
        logger.warning(
            f"This file system cannot lock ({LOCK.error}): see yourself that only one run is at work here"
        )
    if shutil.which("squeue"):
        if jobs := " ".join(runs.slurm_jobs(PROJECT / "profiles/slurm/jobs.sh")):
            raise WorkflowError(
                f"Slurm jobs of another run are at work in this folder: {jobs}. "
                "profiles/slurm/run.sh waits for them and goes on; "
                "`scancel $(profiles/slurm/jobs.sh)` stops them."
            )
    said = ""
    # Else one of other settings might end last, and its file be taken for this run's.
    while left := " ".join(map(str, runs.jobs_of_killed_run())):
        if left != said:
            logger.warning(
                f"Waiting for jobs of a killed run; to stop them: kill {left}"
            )
        said = left
        time.sleep(0.5)
    os.environ[runs.MARK] = "1"
