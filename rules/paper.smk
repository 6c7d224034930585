# The paper's figures by name: `snakemake fig07`, at the reduced scale with `--config scale=reduced`.
# Need what the paper's three studies made; make results/paper/*.pdf and *.png, or paper-reduced/.


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
        script="scripts/figures/paper/fig03.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig04.py",
        plots="scripts/zbo/drawing/plots.py",
    output:
        expand("results/{paper}/fig04.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig04.log",
    container:
        # Never in the image, which has no Snakemake; the linter wants a name where none is used.
        None if workflow.deployment_settings.deployment_method else "containers/zbo.sif"
    shell:
        """
        snakemake --nolock --rulegraph dot {input.scores:q} 2>{log:q} \
            | python {input.script:q} --checkpoint bo_iteration --output {output:q} >>{log:q} 2>&1
        """


rule fig05:
    """Sample trajectories, encode them, decode three points (MNIST)."""
    input:
        trajectories=in_paper("mnist", "trajectories.h5"),
        trajectory_vae=in_paper("mnist", "trajectory_vae.h5"),
        space=in_paper("mnist", "space.h5"),
        script="scripts/figures/paper/fig05.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig06.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig07.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig08.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig07.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig08.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/fig10.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig10.log",


use rule fig07 as fig11 with:
    input:
        images=in_paper("nanoparticles-7", "images.h5"),
        scores=in_paper("nanoparticles-7", "scores.csv"),
        models=models_in_paper("nanoparticles-7"),
        script="scripts/figures/paper/fig07.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig07.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/figB1.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/paper/fig07.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
    output:
        expand("results/{paper}/figB2.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/figB2.log",
    params:
        shown="transfer optimum",
