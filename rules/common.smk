# What all rules share: where the code lies, which studies run, the settings a rule depends on.
# Every other function stands beside the rules that use it.

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(PROJECT / "scripts"))

from zbo.base import channels, own, storage
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

# The image's jobs see the working folder alone by themselves.
if BESIDE:
    bound = filter(None, [os.environ.get("APPTAINER_BIND"), str(PROJECT)])
    os.environ["APPTAINER_BIND"] = ",".join(dict.fromkeys(",".join(bound).split(",")))

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


def digests_of_own_functions(chosen):
    named = [
        *chosen.get("trajectories", {}).get("families", []),
        chosen.get("space", {}).get("constraint", ""),
        chosen.get("objective", {}).get("name", ""),
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
            *(IMAGE, "python", f"{SCRIPTS}/warm.py", "--keep"),
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
        script = PROJECT / "profiles/slurm/jobs.sh"
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
