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


def models_of_kinds(wildcards):
    """Models along the recommended trajectory with 2, 3, ... classes, each once a seed."""
    asked = STUDIES[wildcards.study]["kinds"]
    names = [f"optimum-k{classes}" for classes in range(2, asked["max"] + 1)]
    return trained(wildcards.study, names, asked["seeds"])


def models_of(study):
    """Every compared model, once a seed."""
    compare = STUDIES[study]["compare"]
    return trained(study, compare["models"], compare["seeds"])


def trained(study, models, seeds):
    """Name the files of some models, each once a seed."""
    return [
        f"results/{study}/models/{model}-{replicate}.h5"
        for model in models
        for replicate in range(seeds)
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
    seeds = STUDIES[wildcards.study]["compare"]["seeds"]
    return trained(wildcards.study, ["optimum"], seeds)


def of_new(key):
    """What the config says of new images: `images`, `name` or `coordinates`."""
    return str(config.get(key) or "")


def name_of_new():
    """What the results of the new images are called: as the config says, or as their folder is."""
    chosen = of_new("name") or Path(os.path.expanduser(of_new("images"))).resolve().name
    return re.sub(r"[^\w.-]+", "-", chosen).strip("-.") or "new"


def results_of_new(wildcards):
    """All that is made of new images, of each study."""
    if not of_new("images"):
        raise WorkflowError(
            "apply: to which images? make apply STUDY=mine IMAGES=folder, or "
            "snakemake apply --config studies=mine images=folder"
        )
    files = ["images.csv", "classes.csv"]
    files += [f"figures/{figure}.pdf" for figure in ("members", "map", "latents")]
    return [
        f"results/{study}/apply/{name_of_new()}/{file}"
        for study in RUN
        for file in files
    ]


def path_of_new(wildcards):
    """The new images, once all that they need is there, and nobody else's results in their place."""
    folder = f"results/{wildcards.study}"
    path = os.path.expanduser(of_new("images"))
    if not path or wildcards.new != name_of_new():
        raise WorkflowError(
            f"{folder}/apply/{wildcards.new}: name its images: "
            f"make apply STUDY={wildcards.study} NAME={wildcards.new} IMAGES=folder"
        )
    if not os.path.exists(os.path.expandvars(path)):
        raise WorkflowError(
            f"{path}: there is no such file or folder of new images; correct the path"
        )
    if not os.path.exists(f"{folder}/model.h5"):
        raise WorkflowError(
            f"{folder} holds no model.h5: study {wildcards.study} has not been run, or not to its "
            f"end; first make run STUDY={wildcards.study}"
        )
    there = f"{folder}/apply/{wildcards.new}/images.h5"
    if os.path.exists(there):
        made_of = storage.facts(there, kind="images").get("source")
        if made_of and not same_place(made_of, path):
            raise WorkflowError(
                f"{folder}/apply/{wildcards.new} holds what was made of {made_of}; "
                f"give {path} a name of its own: NAME=..."
            )
    return path


def same_place(one, other):
    """Tell whether two paths lead to one place."""
    places = [os.path.realpath(os.path.expandvars(each)) for each in (one, other)]
    return places[0] == places[1]


def coordinates_of_new(wildcards):
    """Where patches lie in the new images, if the config says so."""
    return os.path.expanduser(of_new("coordinates")) or []


def digest_of_new(wildcards):
    """Digest the new images and what the study kept, so that another of either is noticed."""
    folder = f"results/{wildcards.study}"
    kept = [f"{folder}/{file}" for file in ("model.h5", "images.h5")]
    new = of_new("images"), None, of_new("coordinates")
    there = [path for path in kept if os.path.exists(path)]
    return sources.digest([*there, *sources.files("files", *new)])
