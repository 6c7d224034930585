# What the rules of drawing.smk ask for, where their wildcards alone do not say it.

# What every figure is drawn with.
DRAWING = [f"{SCRIPTS}/zbo/drawing/{module}.py" for module in ("plots", "panels")]


def schedules_of(study):
    """The best form of each schedule made by hand that the study compares with."""
    return [
        f"results/{study}/{compared.named(name).follows}"
        for name in STUDIES[study]["compare"]["models"]
        if name in compared.SCHEDULES
    ]


def trials_of_search(study):
    """Every trial that a study's search asked for, in order."""
    last = int(Path(last_iteration_of(study)).stem)
    asked = ["design", *(f"{k:03d}" for k in range(last))]
    return [trial for each in asked for trial in trials_of(study, each)]


# Figures draw from files of a study, each given to the script by the option it stands under here.
LATENT_SPACE = {
    "trajectories": "trajectories.h5",
    "trajectory_vae": "trajectory_vae.h5",
    "space": "space.h5",
}
SEARCH = {"space": "space.h5", "design": "design.h5", "iteration": last_iteration_of}
LEARNED = {"images": "images.h5", "scores": "scores.csv", "models": models_of}

# A study's figures; a script of its name draws each. TITLES in figures/report.py gives their order.
FIGURES = {
    "members": {"images": "images.h5", "classes": "classes.csv"},
    "map": {"images": "images.h5", "classes": "classes.csv"},
    "latents": {"images": "images.h5", "classes": "classes.csv", "model": "model.h5"},
    "overview": SEARCH
    | {"trajectories": "trajectories.h5", "model": "models/optimum-0.h5"},
    "patches": {"images": "images.h5"},
    "images": {"images": "images.h5"},
    "trajectories": {"trajectories": "trajectories.h5"},
    "latent_space": LATENT_SPACE,
    "surrogate": SEARCH,
    "convergence": {
        "design": "design.h5",
        "iteration": last_iteration_of,
        "optimum": "optimum.h5",
    },
    "optimum": {"optimum": "optimum.h5", "schedules": schedules_of},
    "front": SEARCH | {"trials": trials_of_search, "schedules": schedules_of},
    "manifolds": LEARNED,
    "scores": {"scores": "scores.csv"},
}
# Figures that are drawn when asked for by name, no part of a whole run.
MORE_FIGURES = {
    "kinds": {"kinds": "kinds.csv"},
}
ALL_FIGURES = FIGURES | MORE_FIGURES
# The paper's figures: script, studies, files of each and what else the script is told.
PAPER_FIGURES = {
    "fig03": ("fig03", [], {}, ""),
    "fig04": ("fig04", ["mnist"], {"scores": "scores.csv"}, ""),
    "fig05": ("fig05", ["mnist"], LATENT_SPACE, ""),
    "fig06": ("fig06", ["mnist"], SEARCH, ""),
    "fig07": ("fig07", ["mnist"], LEARNED, "--shown data vanilla beta-1 optimum"),
    "fig08": ("fig08", ["nanoparticles-3"], LATENT_SPACE | SEARCH, ""),
    "fig09": (
        "fig07",
        ["nanoparticles-3"],
        LEARNED,
        "--shown vanilla vae beta-1 beta-0.01 optimum",
    ),
    "fig10": ("fig08", ["nanoparticles-7"], LATENT_SPACE | SEARCH, ""),
    "fig11": ("fig07", ["nanoparticles-7"], LEARNED, "--shown vanilla vae beta-1"),
    "fig12": ("fig07", ["nanoparticles-7"], LEARNED, "--shown beta-0.01 optimum"),
    "figB1": (
        "figB1",
        ["nanoparticles-3", "nanoparticles-7"],
        {"images": "images.h5"},
        "",
    ),
    "figB2": ("fig07", ["nanoparticles-3"], LEARNED, "--shown transfer optimum"),
}


def figures_of(study, end="png"):
    """A study's figures; where no latents are searched there is no space of them to draw."""
    left_out = () if in_latents(study) else ("latent_space",)
    return [
        f"results/{study}/figures/{name}.{end}"
        for name in FIGURES
        if name not in left_out
    ]


def files_of(drawn, files):
    """Name files of some studies, or of new images, by option."""
    return {
        option: [
            path
            for study in drawn
            for path in listed(of(study) if callable(of) else f"results/{study}/{of}")
        ]
        for option, of in files.items()
    }


def listed(path):
    return [path] if isinstance(path, str) else path


def files_of_figure(wildcards):
    return files_of([wildcards.sample], ALL_FIGURES[wildcards.figure])


def files_of_paper_figure(figure):
    """Give a rule the files that one of the paper's figures is drawn from."""
    _, drawn, files, _ = PAPER_FIGURES[figure]

    def of(wildcards):
        return files_of([study_of_paper(name, PAPER) for name in drawn], files)

    return of


def options_of_figure(wildcards, input):
    return options(ALL_FIGURES[wildcards.figure], input)


def options_of_paper_figure(figure):
    """Give a rule its script's options for the files of one of the paper's figures."""

    def of(wildcards, input):
        return options(PAPER_FIGURES[figure][2], input)

    return of


def options(files, input):
    return " ".join(
        # What a search will end with is not known before it has.
        shlex.join([f"--{option.replace('_', '-')}", *listed(input.get(option, []))])
        for option in files
    )


def pages_of_paper(wildcards):
    """What the report shows of the paper: claims and figures, where all its studies are run."""
    needed = {study_of_paper(name, PAPER) for name in studies.PAPER_STUDIES}
    shown = ["claims.csv", *(f"{name}.png" for name in PAPER_FIGURES), "objective.png"]
    return [f"results/{PAPER}/{file}" for file in shown] if needed <= set(RUN) else []


def figures_asked_for(wildcards):
    """Figures that are no part of a whole run, where someone has had them drawn."""
    drawn = [
        f"results/{study}/figures/{figure}.png"
        for study in RUN
        for figure in MORE_FIGURES
    ]
    return [path for path in drawn if os.path.exists(path)]


def folders_of_studies(wildcards):
    return [f"results/{study}" for study in RUN]


def folder_of_captions(wildcards, input):
    return os.path.dirname(input.captions[0])
