# What the rules of search.smk ask for, where their wildcards alone do not say it.


def budget(wildcards):
    return STUDIES[wildcards.study]["search"]["iterations"]


def batch_size(wildcards):
    return STUDIES[wildcards.study]["search"]["batch_size"]


def trials_of(study, candidates):
    """Name the trials of a file of candidates: "design", a schedule or an iteration."""
    search = STUDIES[study]["search"]
    forms = STUDIES[study]["compare"]["forms"]
    counts = {"design": search["initial"], **dict.fromkeys(compared.SCHEDULES, forms)}
    count = counts.get(candidates, search["batch_size"])
    return [f"results/{study}/trials/{candidates}-{index}.h5" for index in range(count)]


def candidates_of_trial(wildcards):
    """The file that holds a trial's trajectory."""
    source = wildcards.trial.rpartition("-")[0]
    places = {name: f"schedules/{name}.h5" for name in compared.SCHEDULES}
    places["design"] = "design.h5"
    return f"results/{wildcards.study}/{places.get(source, f'iterations/{source}.h5')}"


def index_of_trial(wildcards):
    return int(wildcards.trial.rpartition("-")[2])


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


def last_iteration(wildcards):
    """The iteration that ends the study's search."""
    return last_iteration_of(wildcards.study)


def last_iterations(wildcards):
    """The last iteration of every study."""
    return [last_iteration_of(study) for study in RUN]
