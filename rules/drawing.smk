# Figures, one rule and one script each, and the report. Need what the stages before made; make
# results/{study}/figures/*.pdf and *.png, the paper's as results/paper/*.pdf and *.png (at the reduced
# scale in paper-reduced/) and results/report.html. The paper's are targets: `snakemake fig07`.


include: "functions/drawing.smk"


rule figure_members:
    """Show real images of each class."""
    input:
        images="results/{study}/images.h5",
        classes="results/{study}/classes.csv",
        script=f"{SCRIPTS}/figures/members.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/members.pdf",
        png="results/{study}/figures/members.png",
    log:
        "logs/{study}/figures/members.log",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --classes {input.classes:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_map:
    """Show where particles lie in their micrographs."""
    input:
        images="results/{study}/images.h5",
        classes="results/{study}/classes.csv",
        script=f"{SCRIPTS}/figures/map.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/map.pdf",
        png="results/{study}/figures/map.png",
    log:
        "logs/{study}/figures/map.log",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --classes {input.classes:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_latents:
    """Show what varies within classes."""
    input:
        images="results/{study}/images.h5",
        classes="results/{study}/classes.csv",
        model="results/{study}/model.h5",
        script=f"{SCRIPTS}/figures/latents.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/latents.pdf",
        png="results/{study}/figures/latents.png",
    log:
        "logs/{study}/figures/latents.log",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --classes {input.classes:q} \
            --model {input.model:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_overview:
    """Show the whole study in one row."""
    input:
        trajectories="results/{study}/trajectories.h5",
        space="results/{study}/space.h5",
        design="results/{study}/design.h5",
        iteration=last_iteration,
        model="results/{study}/models/optimum-0.h5",
        script=f"{SCRIPTS}/figures/overview.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/overview.pdf",
        png="results/{study}/figures/overview.png",
    log:
        "logs/{study}/figures/overview.log",
    shell:
        """
        python {input.script:q} \
            --trajectories {input.trajectories:q} \
            --space {input.space:q} \
            --design {input.design:q} \
            --iteration {input.iteration:q} \
            --model {input.model:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_images:
    """Show sample images."""
    input:
        images="results/{study}/images.h5",
        script=f"{SCRIPTS}/figures/images.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/images.pdf",
        png="results/{study}/figures/images.png",
    log:
        "logs/{study}/figures/images.log",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_trajectories:
    """Show sampled trajectories of each family."""
    input:
        trajectories="results/{study}/trajectories.h5",
        script=f"{SCRIPTS}/figures/trajectories.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/trajectories.pdf",
        png="results/{study}/figures/trajectories.png",
    log:
        "logs/{study}/figures/trajectories.log",
    shell:
        """
        python {input.script:q} \
            --trajectories {input.trajectories:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_latent_space:
    """Show the latent space of trajectories and what some of its points decode to."""
    input:
        trajectories="results/{study}/trajectories.h5",
        trajectory_vae="results/{study}/trajectory_vae.h5",
        space="results/{study}/space.h5",
        script=f"{SCRIPTS}/figures/latent_space.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/latent_space.pdf",
        png="results/{study}/figures/latent_space.png",
    log:
        "logs/{study}/figures/latent_space.log",
    shell:
        """
        python {input.script:q} \
            --trajectories {input.trajectories:q} \
            --trajectory-vae {input.trajectory_vae:q} \
            --space {input.space:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_surrogate:
    """Show the surrogate's mean and uncertainty over the latent space."""
    input:
        space="results/{study}/space.h5",
        design="results/{study}/design.h5",
        iteration=last_iteration,
        script=f"{SCRIPTS}/figures/surrogate.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/surrogate.pdf",
        png="results/{study}/figures/surrogate.png",
    log:
        "logs/{study}/figures/surrogate.log",
    shell:
        """
        python {input.script:q} \
            --space {input.space:q} \
            --design {input.design:q} \
            --iteration {input.iteration:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_convergence:
    """Show how the search went, trial by trial."""
    input:
        design="results/{study}/design.h5",
        iteration=last_iteration,
        optimum="results/{study}/optimum.h5",
        script=f"{SCRIPTS}/figures/convergence.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/convergence.pdf",
        png="results/{study}/figures/convergence.png",
    log:
        "logs/{study}/figures/convergence.log",
    shell:
        """
        python {input.script:q} \
            --design {input.design:q} \
            --iteration {input.iteration:q} \
            --optimum {input.optimum:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_optimum:
    """Show the trajectory the search recommends."""
    input:
        optimum="results/{study}/optimum.h5",
        schedules=schedules_of_study,
        script=f"{SCRIPTS}/figures/optimum.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/optimum.pdf",
        png="results/{study}/figures/optimum.png",
    log:
        "logs/{study}/figures/optimum.log",
    shell:
        """
        python {input.script:q} \
            --optimum {input.optimum:q} \
            --schedules {input.schedules:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_front:
    """Show what the search traded, classes against factors, and what models learned of both."""
    input:
        space="results/{study}/space.h5",
        design="results/{study}/design.h5",
        iteration=last_iteration,
        trials=trials_of_search,
        schedules=schedules_of_study,
        script=f"{SCRIPTS}/figures/front.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/front.pdf",
        png="results/{study}/figures/front.png",
    log:
        "logs/{study}/figures/front.log",
    shell:
        """
        python {input.script:q} \
            --space {input.space:q} \
            --design {input.design:q} \
            --iteration {input.iteration:q} \
            --trials {input.trials:q} \
            --schedules {input.schedules:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_manifolds:
    """Show the learned manifolds of each compared model."""
    input:
        images="results/{study}/images.h5",
        scores="results/{study}/scores.csv",
        models=models_of_study,
        script=f"{SCRIPTS}/figures/manifolds.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/manifolds.pdf",
        png="results/{study}/figures/manifolds.png",
    log:
        "logs/{study}/figures/manifolds.log",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --scores {input.scores:q} \
            --models {input.models:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_scores:
    """Show every seed's scores of each compared model."""
    input:
        scores="results/{study}/scores.csv",
        script=f"{SCRIPTS}/figures/scores.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/scores.pdf",
        png="results/{study}/figures/scores.png",
    log:
        "logs/{study}/figures/scores.log",
    shell:
        """
        python {input.script:q} \
            --scores {input.scores:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule paper:
    """Draw every figure of the paper."""
    input:
        expand(
            "results/{paper}/{figure}.{end}",
            paper=PAPER,
            figure=PAPER_FIGURES,
            end=["pdf", "png"],
        ),


rule fig03:
    """Search along one variable, step by step."""
    input:
        script=f"{SCRIPTS}/figures/paper/fig03.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig03.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig03.log",
    shell:
        """
        python {input.script:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule fig04:
    """Draw how the rules depend on each other, once a search has closed their loop."""
    input:
        scores=in_paper("mnist", "scores.csv"),
        script=f"{SCRIPTS}/figures/paper/fig04.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
    output:
        expand("results/{paper}/fig04.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig04.log",
    container:
        # Never in the image, which has no Snakemake; the linter wants a name where none is used.
        None if workflow.deployment_settings.deployment_method else IMAGE
    params:
        snakefile=PROJECT / "Snakefile",
    shell:
        """
        snakemake --nolock --snakefile {params.snakefile:q} --rulegraph dot {input.scores:q} 2>{log:q} \
            | python {input.script:q} --checkpoint bo_iteration --output {output:q} >>{log:q} 2>&1
        """


rule fig05:
    """Sample trajectories, encode them, decode three points (MNIST)."""
    input:
        trajectories=in_paper("mnist", "trajectories.h5"),
        trajectory_vae=in_paper("mnist", "trajectory_vae.h5"),
        space=in_paper("mnist", "space.h5"),
        script=f"{SCRIPTS}/figures/paper/fig05.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig05.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig05.log",
    shell:
        """
        python {input.script:q} \
            --trajectories {input.trajectories:q} \
            --trajectory-vae {input.trajectory_vae:q} \
            --space {input.space:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule fig06:
    """Show where the search ended (MNIST)."""
    input:
        space=in_paper("mnist", "space.h5"),
        design=in_paper("mnist", "design.h5"),
        iteration=last_iteration_in_paper("mnist"),
        script=f"{SCRIPTS}/figures/paper/fig06.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig06.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig06.log",
    shell:
        """
        python {input.script:q} \
            --space {input.space:q} \
            --design {input.design:q} \
            --iteration {input.iteration:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule fig07:
    """Show the data and what three models learned of them (MNIST)."""
    input:
        images=in_paper("mnist", "images.h5"),
        scores=in_paper("mnist", "scores.csv"),
        models=models_in_paper("mnist"),
        script=f"{SCRIPTS}/figures/paper/fig07.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig07.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig07.log",
    params:
        shown="data vanilla beta-1 optimum",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --scores {input.scores:q} \
            --models {input.models:q} \
            --shown {params.shown} \
            --output {output:q} >{log:q} 2>&1
        """


rule fig08:
    """Show the search of the nanoparticles, 3 labels."""
    input:
        trajectories=in_paper("nanoparticles-3", "trajectories.h5"),
        trajectory_vae=in_paper("nanoparticles-3", "trajectory_vae.h5"),
        space=in_paper("nanoparticles-3", "space.h5"),
        design=in_paper("nanoparticles-3", "design.h5"),
        iteration=last_iteration_in_paper("nanoparticles-3"),
        script=f"{SCRIPTS}/figures/paper/fig08.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig08.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig08.log",
    shell:
        """
        python {input.script:q} \
            --trajectories {input.trajectories:q} \
            --trajectory-vae {input.trajectory_vae:q} \
            --space {input.space:q} \
            --design {input.design:q} \
            --iteration {input.iteration:q} \
            --output {output:q} >{log:q} 2>&1
        """


use rule fig07 as fig09 with:
    input:
        images=in_paper("nanoparticles-3", "images.h5"),
        scores=in_paper("nanoparticles-3", "scores.csv"),
        models=models_in_paper("nanoparticles-3"),
        script=f"{SCRIPTS}/figures/paper/fig07.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig09.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig09.log",
    params:
        shown="vanilla vae beta-1 beta-0.01 optimum",


use rule fig08 as fig10 with:
    input:
        trajectories=in_paper("nanoparticles-7", "trajectories.h5"),
        trajectory_vae=in_paper("nanoparticles-7", "trajectory_vae.h5"),
        space=in_paper("nanoparticles-7", "space.h5"),
        design=in_paper("nanoparticles-7", "design.h5"),
        iteration=last_iteration_in_paper("nanoparticles-7"),
        script=f"{SCRIPTS}/figures/paper/fig08.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig10.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig10.log",


use rule fig07 as fig11 with:
    input:
        images=in_paper("nanoparticles-7", "images.h5"),
        scores=in_paper("nanoparticles-7", "scores.csv"),
        models=models_in_paper("nanoparticles-7"),
        script=f"{SCRIPTS}/figures/paper/fig07.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig11.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig11.log",
    params:
        shown="vanilla vae beta-1",


use rule fig07 as fig12 with:
    input:
        images=in_paper("nanoparticles-7", "images.h5"),
        scores=in_paper("nanoparticles-7", "scores.csv"),
        models=models_in_paper("nanoparticles-7"),
        script=f"{SCRIPTS}/figures/paper/fig07.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig12.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig12.log",
    params:
        shown="beta-0.01 optimum",


rule figB1:
    """Show samples of the nanoparticles' images."""
    input:
        images=[
            in_paper("nanoparticles-3", "images.h5"),
            in_paper("nanoparticles-7", "images.h5"),
        ],
        script=f"{SCRIPTS}/figures/paper/figB1.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/figB1.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/figB1.log",
    shell:
        """
        python {input.script:q} \
            --images {input.images:q} \
            --output {output:q} >{log:q} 2>&1
        """


use rule fig07 as figB2 with:
    input:
        images=in_paper("nanoparticles-3", "images.h5"),
        scores=in_paper("nanoparticles-3", "scores.csv"),
        models=models_in_paper("nanoparticles-3"),
        script=f"{SCRIPTS}/figures/paper/fig07.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
        panels=f"{SCRIPTS}/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/figB2.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/figB2.log",
    params:
        shown="transfer optimum",


rule report:
    """Put figures, scores and facts of every study named in the config into one page."""
    input:
        last_iterations,
        scores=expand("results/{study}/scores.csv", study=RUN),
        figures=expand(
            "results/{study}/figures/{figure}.png", study=RUN, figure=FIGURES
        ),
        paper=pages_of_paper,
        captions=expand(
            f"{CAPTIONS}/{{figure}}.rst",
            figure=[*FIGURES, *PAPER_FIGURES, "objective", "claims"],
        ),
        template=f"{SCRIPTS}/figures/report.html",
        script=f"{SCRIPTS}/figures/report.py",
    output:
        "results/report.html",
    log:
        "logs/report.log",
    params:
        studies=folders_of_studies,
        figures=FIGURES,
        captions=folder_of_captions,
    shell:
        """
        python {input.script:q} \
            --studies {params.studies:q} \
            --figures {params.figures:q} \
            --paper {input.paper:q} \
            --captions {params.captions:q} \
            --template {input.template:q} \
            --output {output:q} >{log:q} 2>&1
        """
