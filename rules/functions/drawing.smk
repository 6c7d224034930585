# What the rules of drawing.smk ask for, where their wildcards alone do not say it.

# In the order of the story; each is a rule and a script of the same name.
FIGURES = [
    "members",
    "map",
    "latents",
    "overview",
    "images",
    "trajectories",
    "latent_space",
    "surrogate",
    "convergence",
    "optimum",
    "front",
    "manifolds",
    "scores",
]

# Of the paper, each a rule and a target by this name.
PAPER_FIGURES = [*(f"fig{number:02d}" for number in range(3, 13)), "figB1", "figB2"]


def schedules_of_study(wildcards):
    """The best form of each schedule made by hand that the study compares with."""
    return [
        f"results/{wildcards.study}/{compared.named(name).follows}"
        for name in STUDIES[wildcards.study]["compare"]["models"]
        if name in compared.SCHEDULES
    ]


def trials_of_search(wildcards):
    """Every trial that a study's search asked for, in order."""
    last = int(Path(last_iteration(wildcards)).stem)
    asked = ["design", *(f"{k:03d}" for k in range(last))]
    return [trial for each in asked for trial in trials_of(wildcards.study, each)]


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


def pages_of_paper(wildcards):
    """What the report shows of the paper: claims and figures, where all its studies are run."""
    needed = {study_of_paper(name, PAPER) for name in studies.PAPER_STUDIES}
    shown = ["claims.csv", *(f"{name}.png" for name in PAPER_FIGURES), "objective.png"]
    return [f"results/{PAPER}/{file}" for file in shown] if needed <= set(RUN) else []


def folders_of_studies(wildcards):
    return [f"results/{study}" for study in RUN]


def folder_of_captions(wildcards, input):
    return os.path.dirname(input.captions[0])
