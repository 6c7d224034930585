# Figures, one rule and one script each. Need what the stages before made; make
# results/{study}/figures/*.pdf and *.png.


rule figure_overview:
    """Show the whole study in one row."""
    input:
        trajectories="results/{study}/trajectories.h5",
        space="results/{study}/space.h5",
        design="results/{study}/design.h5",
        iteration=last_iteration,
        model="results/{study}/models/optimum-0.h5",
        script="scripts/figures/overview.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/images.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/trajectories.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/latent_space.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/surrogate.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/convergence.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        best_constant=best_constant_of_study,
        script="scripts/figures/optimum.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
    output:
        pdf="results/{study}/figures/optimum.pdf",
        png="results/{study}/figures/optimum.png",
    log:
        "logs/{study}/figures/optimum.log",
    shell:
        """
        python {input.script:q} \
            --optimum {input.optimum:q} \
            --best-constant {input.best_constant:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_manifolds:
    """Show the learned manifolds of each compared model."""
    input:
        images="results/{study}/images.h5",
        scores="results/{study}/scores.csv",
        models=models_of_study,
        script="scripts/figures/manifolds.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
        script="scripts/figures/scores.py",
        plots="scripts/zbo/drawing/plots.py",
        panels="scripts/zbo/drawing/panels.py",
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
