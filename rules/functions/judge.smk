# What the rules of judge.smk ask for, where their wildcards alone do not say it.


def trials_of_schedule(wildcards):
    return trials_of(wildcards.study, wildcards.schedule)


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


def trajectory_of_model(wildcards):
    """The file with the trajectory a compared model follows; none where its name says it."""
    follows = compared.named(wildcards.model).follows
    return f"results/{wildcards.study}/{follows}" if follows else []


def settings_of_model(wildcards):
    """Settings of a compared model; those whose name states a constant scale it by the pixels."""
    training = (
        "seed",
        "trajectories.cycles",
        "trajectories.beta_d",
        "model",
        "training",
    )
    if compared.named(wildcards.model).scaled:
        training = (*training, "compare.unit_pixels")
    return settings_for(*training)(wildcards)


def models_of(study):
    """Every compared model, once a seed."""
    compare = STUDIES[study]["compare"]
    return [
        f"results/{study}/models/{model}-{replicate}.h5"
        for model in compare["models"]
        for replicate in range(compare["seeds"])
    ]


def models_of_study(wildcards):
    return models_of(wildcards.study)


def study_of_paper(name, paper):
    """Name one of the paper's studies at the scale of a folder, "paper" or "paper-reduced"."""
    return studies.at_scale(name, paper.removeprefix("paper-"))


def of_paper(path):
    """Give a rule one file of each of the paper's studies, at the scale of {paper}."""

    def files(wildcards):
        return [
            path.format(study=study_of_paper(name, wildcards.paper))
            for name in studies.PAPER_STUDIES
        ]

    return files


def last_iterations_of_paper(wildcards):
    """The last iteration of each of the paper's studies, at the scale of the config."""
    return [
        last_iteration_of(study_of_paper(name, PAPER)) for name in studies.PAPER_STUDIES
    ]


def seeds_of_optimum(wildcards):
    """Every seed of the recommended trajectory: they vote on classes, and the best is kept."""
    return [
        f"results/{wildcards.study}/models/optimum-{replicate}.h5"
        for replicate in range(STUDIES[wildcards.study]["compare"]["seeds"])
    ]
