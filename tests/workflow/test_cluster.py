"""zBO on a real Slurm with pretend GPUs, in its image; then broken in the ways clusters break.

Needs root, Debian's slurm-wlm and munge (for one test slurmdbd and mariadb-server), and Apptainer
with mmdebstrap. With ZBO_CLUSTER=require what is missing fails the tests instead of skipping them;
ZBO_IMAGE names an image built already.
"""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from cluster.testbed import HERE, Folder, fields, slurm, until
from conftest import ROOT, environment
from PIL import Image
from test_workflow import search_results, written

from zbo.base import storage

IN_IMAGE = "--sdm apptainer --apptainer-args=--nv"

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def place():
    """A folder that every user may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="zbo-cluster-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def need(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    lacking = f"needs {', '.join(missing)}" if missing else "needs root" if os.getuid() else ""
    if lacking and os.environ.get("ZBO_CLUSTER") == "require":
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)


@pytest.fixture(scope="module")
def record(place):
    """A running Slurm; gives the file with a line for each job that ended."""
    need("slurmctld", "slurmd", "munged")
    script = HERE / "slurm.sh"
    subprocess.run([script, "start", place / "slurm"], check=True)
    yield place / "slurm/completed"
    subprocess.run([script, "stop", place / "slurm"], check=True)


@pytest.fixture(scope="module")
def image(place):
    need("apptainer")
    if given := os.environ.get("ZBO_IMAGE"):
        return Path(given).resolve()
    need("mmdebstrap")
    done = subprocess.run(
        [HERE / "image.sh", place / "image"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    return place / "image/zbo.sif"


@pytest.fixture(scope="module")
def local(place):
    """The test study's search on this machine, without Slurm and image."""
    folder = Folder(place / "local")
    folder.run("search", command=f"{sys.executable} -m snakemake --cores 2")
    return folder.path


@pytest.fixture
def folder(place, local, record, request):
    """A folder in which everything before the first trial is done; trials run without the image."""
    made = Folder(place / request.node.name)
    made.prepare(local)
    yield made
    subprocess.run("scancel $(profiles/slurm/jobs.sh)", shell=True, cwd=made.path, check=False)


def completed_once(folder):
    """Each trial's job completed, and once, by Slurm's own records."""
    trials = [job["Comment"] for job in folder.trials("COMPLETED")]
    assert len(trials) == len(set(trials)) == 3 + 2 * 2
    return True


# The image


def inside(image, *command, **settings):
    return subprocess.run(
        ["apptainer", "exec", "--nv", *command[:-1], image, "sh", "-c", command[-1]],
        text=True, capture_output=True, check=False, **settings,
    )  # fmt: skip


def test_the_image_says_what_it_is(image):
    asked = subprocess.run(
        ["apptainer", "inspect", "--json", image], check=True, capture_output=True, text=True
    )
    labels = json.loads(asked.stdout)["data"]["attributes"]["labels"]
    version = labels["org.opencontainers.image.version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()
    assert len(labels["org.opencontainers.image.revision"]) >= 7
    size = image.stat().st_size / 1e9
    print(f"{image}: {size:.2f} GB")
    assert size < 4


def test_the_image_is_closed_read_only_and_anyones(image, place):
    """As another user, without GPU, with traps laid in the host's Python path and home."""
    trap = place / "trap"
    site = trap / ".local/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "numpy.py").write_text("raise SystemExit('the host leaks in')")
    (trap / "torch.py").write_text("raise SystemExit('the host leaks in')")
    shutil.copytree(ROOT / "scripts", place / "scripts")
    found = inside(
        image,
        *("--home", f"{trap}", "--bind", f"{place}"),
        "python -c 'import sys, torch, zbo.trainer.jrvae; "
        "print(sys.path); print(torch.__file__)' && "
        "! touch /opt/zbo/written 2>/dev/null && id -u",
        cwd=place / "scripts",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(trap),
            "APPTAINERENV_PYTHONPATH": str(place / "scripts"),
            "HOME": str(trap),
        },
        user="nobody",
        group="nogroup",
    )
    assert found.returncode == 0, found.stdout + found.stderr
    lines = found.stdout.splitlines()
    assert lines[1].startswith("/opt/zbo/venv/")
    assert lines[2] == "65534"
    assert str(trap) not in lines[0]


# The workflow


def test_in_the_image_as_without(place, local, image):
    folder = Folder(place / "image", image)
    command = f"env ZBO_COMMIT=abc {sys.executable} -m snakemake --cores 2 {IN_IMAGE}"
    folder.run("search", command=command)
    facts = storage.facts(folder.path / "results/test/trials/design-0.h5", kind="trial")
    assert facts["commit"] == "abc"  # of the code that ran, not the image's
    assert search_results(folder.path) == search_results(local)


def test_on_slurm_in_the_image_as_on_this_machine(place, local, image, record):
    """Code, profile and image are a group's; results, logs and jobs a person's, elsewhere."""
    group, person = Folder(place / "group", image), place / "person"
    before = set(group.path.rglob("*"))
    person.mkdir()
    folder = copy.copy(group)
    folder.path = person
    of_group = f"-s {group.path}/Snakefile --workflow-profile {group.path}/profiles/slurm"
    folder.run(command=f"{sys.executable} -m snakemake --nolock {of_group}")
    assert search_results(person) == search_results(local)
    made = set(group.path.rglob("*")) - before
    assert not [path for path in made if "__pycache__" not in str(path)]

    assert completed_once(folder)
    trials = folder.trials()
    assert len(trials) == len({job["JobId"] for job in trials}) == 7
    assert {job["TresPerJob"] for job in trials} == {"gres:gpu:1"}
    spans = sorted((job["StartTime"], job["EndTime"]) for job in trials)
    assert any(later[0] < earlier[1] for earlier, later in zip(spans, spans[1:], strict=False))
    ended = [fields(line) for line in record.read_text().splitlines()]
    ended = {job["JobId"]: job for job in ended}
    assert all(ended[job["JobId"]]["JobState"] == "COMPLETED" for job in trials)
    for trial in (person / "results/test/trials").glob("*.h5"):
        facts = storage.facts(trial, kind="trial")
        label = storage.facts(local / "results/test/trials" / trial.name, kind="trial")
        assert facts["commit"] != label["commit"]  # no repository here: the image's label
        assert facts["device"] == "cpu"


def test_the_image_sees_pictures_elsewhere_and_links_to_other_disks(place, image):
    """Pictures and labels outside the project, reached by a link; results on another disk."""
    folder = Folder(place / "elsewhere", image)
    disk = place / "disk"
    (disk / "pictures").mkdir(parents=True)
    (disk / "results").mkdir()
    (folder.path / "results").symlink_to(disk / "results")
    (place / "link").symlink_to(disk)
    for i in range(6):
        picture = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(picture).save(disk / f"pictures/{i}.png")
    change = f"images.source=files images.path={place}/link/pictures images.subset=4 "
    command = f"{sys.executable} -m snakemake --cores 2 {IN_IMAGE}"
    target = "results/test/images.h5"
    folder.run(target, command=command, change=f"{change} images.count=null")
    assert len(storage.read(disk / "results/test/images.h5", kind="images")["images"]) == 6


def test_a_cluster_that_wants_gres(folder):
    """Its jobs are given a GPU, and one that torch does not find is missed all the same."""
    folder.change("^    gpu: 1$", '    gpu: 0\n    gres: "gpu:1"')
    trial = "results/test/trials/design-0.h5"
    folder.change("^retries: .*$", "retries: 0")
    running = folder.start(trial, command="env -u ZBO_DEVICE profiles/slurm/run.sh")
    folder.finish(running, code=1)
    assert "1 GPU asked for, but torch" in " ".join(folder.said.split())
    folder.run(trial)
    assert any("gres:gpu:1" in str(job) for job in folder.trials("COMPLETED"))


def test_a_gpu_asked_for_and_missing_fails_in_its_own_words(folder):
    folder.change("^retries: .*$", "retries: 0")
    running = folder.start(
        "results/test/trials/design-0.h5", command="env -u ZBO_DEVICE profiles/slurm/run.sh"
    )
    folder.finish(running, code=1)
    assert "1 GPU asked for, but torch" in " ".join(folder.said.split())


def test_cancelled_drained_and_joined_by_a_second_run(folder, local):
    running = folder.start()
    first = folder.running()["JobId"]
    node = os.uname().nodename.split(".")[0]
    slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        slurm("scancel", first)
        assert "another run is at work" not in folder.said
        folder.finish(folder.start(), code=75)
        folder.finish(folder.start(command="snakemake --workflow-profile profiles/slurm"), code=1)
        assert folder.said.count("another run is at work in this folder") == 2
        until(lambda: not folder.trials("RUNNING", "COMPLETING") and folder.trials("PENDING"))
        assert running.poll() is None
    finally:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    folder.finish(running)
    assert [job["JobId"] for job in folder.trials("CANCELLED")] == [first]
    assert not folder.trials("FAILED")  # the runs refused took nothing from jobs that waited
    assert completed_once(folder)
    assert search_results(folder.path) == search_results(local)


def test_preempted_and_its_node_lost(folder, local):
    running = folder.start()
    first = folder.running()["JobId"]
    options = ["--partition=urgent", "--gpus=2", "--chdir=/tmp", "--output=/dev/null"]
    slurm("sbatch", *options, "--wrap", "sleep 3")
    until(lambda: restarts(folder, first))
    slurm("scontrol", "update", f"jobid={first}", "StartTime=now")  # else in two minutes
    lost = folder.running()["JobId"]
    already = restarts(folder, lost)
    node = f"nodename={os.uname().nodename.split('.')[0]}"
    slurm("scontrol", "update", node, "state=down", "reason=test")
    until(lambda: restarts(folder, lost) > already)

    def back():
        # It may have come back by itself already, and then cannot be resumed.
        subprocess.run(["scontrol", "update", node, "state=resume"], capture_output=True)
        asked = ["sinfo", "--noheader", "--format=%t"]
        states = subprocess.run(asked, capture_output=True, text=True).stdout
        return "down" not in states

    until(back, 60)
    while running.poll() is None:
        for job in folder.jobs():
            if job["JobState"] == "PENDING" and job["Reason"] == "BeginTime":
                # It may begin by itself meanwhile, and then cannot be told to.
                now = ["scontrol", "update", f"jobid={job['JobId']}", "StartTime=now"]
                subprocess.run(now, capture_output=True)
        time.sleep(1)
    folder.finish(running)
    assert completed_once(folder)
    assert restarts(folder, first) >= 1 and restarts(folder, lost) > already
    assert search_results(folder.path) == search_results(local)


def restarts(folder, number):
    """How often Slurm has started a trial's job again."""
    (count,) = (int(job["Restarts"]) for job in folder.trials() if job["JobId"] == number)
    return count


def test_killed_during_and_between_iterations(folder, local):
    running = folder.start()
    folder.running()
    until(lambda: folder.trials("PENDING"))
    held = folder.trials("PENDING")[-1]["JobId"]
    slurm("scontrol", "hold", held)  # so that there is one to wait for, however long a start takes
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    # Without run.sh a second copy of the trial would start beside the first.
    folder.finish(folder.start(command="snakemake --workflow-profile profiles/slurm"), code=1)
    assert "Slurm jobs of another run are at work in this folder" in " ".join(folder.said.split())
    running = folder.start()
    until(lambda: "Waiting for Slurm jobs that an earlier run left" in folder.said)
    slurm("scontrol", "release", held)
    until(lambda: (folder.path / "logs/test/bo_iteration/001.log").exists())
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = written(folder.path)
    assert len(before) == 5
    folder.run()
    assert {path: when for path, when in written(folder.path).items() if path in before} == before
    assert completed_once(folder)
    assert search_results(folder.path) == search_results(local)


SLOW = """
def sleep_once():
    import os, pathlib, time

    try:
        pathlib.Path("slept").touch(exist_ok=False)
        time.sleep(float(os.environ.get("ZBO_TEST_SLEEP", 0)))
    except FileExistsError:
        pass


if __name__ == "__main__":
    sleep_once()
"""


def slow_down(folder):
    """Make the first trial that trains in a folder take as long as ZBO_TEST_SLEEP says."""
    script = folder.path / "scripts/train_trial.py"
    script.write_text(script.read_text().replace('\nif __name__ == "__main__":\n', SLOW))
    assert "sleep_once" in script.read_text()


def test_out_of_time_a_trial_gets_more_and_an_allocation_goes_on(folder, place, local, record):
    """Both layouts at once, as each waits for Slurm's shortest time limit, a minute."""
    whole = Folder(place / "allocation")
    whole.prepare(local)
    for each in (folder, whole):
        slow_down(each)
    folder.edit(runtime="1 * attempt")
    one = folder.start(
        "results/test/trials/design-0.h5",
        command="env ZBO_TEST_SLEEP=600 profiles/slurm/run.sh",
    )
    # Asked for two minutes, told one minute before they end.
    options = "--gres=gpu:1 --time=2 --signal=B:USR1@60 --cpus-per-task=2 --mem=1000"
    whole.run(command=f"env ZBO_TEST_SLEEP=600 sbatch {options} profiles/slurm/search.sh")

    restarts = 0
    while (job := whole.jobs()[0])["JobState"] not in ("FAILED", "COMPLETED"):
        if int(job["Restarts"]) > restarts:
            restarts += 1
            # Slurm starts it again after two minutes; a few seconds are enough to end its last run.
            time.sleep(15)
            slurm("scontrol", "update", f"jobid={job['JobId']}", "StartTime=now")
        time.sleep(1)
    said = next(whole.path.glob("zbo-*.log")).read_text()
    assert job["JobState"] == "COMPLETED", said
    assert restarts == said.count("Back into the queue") >= 1
    folder.finish(one)
    limits = {job["JobState"]: job["TimeLimit"] for job in folder.trials()}
    assert limits.keys() == {"TIMEOUT", "COMPLETED"}
    assert "00:01:00" <= limits["TIMEOUT"] < limits["COMPLETED"]

    assert search_results(whole.path) == search_results(local)


# A cluster that keeps accounts


@pytest.fixture
def accounts(place, record):
    """Another Slurm in its place, with a database; root may use account `science`."""
    need("slurmdbd", "mariadbd")
    script = HERE / "slurm.sh"
    subprocess.run([script, "stop", place / "slurm"], check=True)
    subprocess.run([script, "start", place / "accounts", "database"], check=True)
    yield
    subprocess.run([script, "stop", place / "accounts"], check=True)
    subprocess.run([script, "start", place / "slurm"], check=True)


def test_with_an_accounting_database(accounts, folder):
    folder.edit(slurm_account="nobodys")
    folder.change(r"^(slurm-status-command:) .*", r"\1 sacct")
    trial = "results/test/trials/design-0.h5"
    folder.finish(folder.start(trial), code=1)
    refused = "account nobodys appears to be invalid. Available accounts:\n"
    # In any order: root's own by default, and the one it was given.
    named = folder.said.partition(refused)[2].split("\n")[0]
    assert set(named.split(", ")) == {"root", "science"}, folder.said
    folder.edit(slurm_account="science")
    folder.run(trial)
    asked = ["sacct", "--starttime=now-1hours", "--allocations", "--noheader", "--parsable2"]
    asked += ["--format=Account,State,AllocTRES%60"]
    (line,) = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    assert line.startswith("science|COMPLETED|") and "gres/gpu=1" in line
