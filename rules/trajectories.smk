# Trajectories and their latent space (table 1, steps 1 to 4).
# Needs settings alone; makes trajectories.h5, trajectory_vae.h5 and space.h5.


rule sample_trajectories:
    """Sample trajectories from each family."""
    output:
        "results/{study}/trajectories.h5",
    log:
        "logs/{study}/sample_trajectories.log",
    benchmark:
        "benchmarks/{study}/sample_trajectories.tsv"
    params:
        settings=settings_for("seed", "trajectories"),
    shell:
        """
        python "$SCRIPTS/sample_trajectories.py" \
            --settings {params.settings:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule train_trajectory_vae:
    """Train the VAE that compresses trajectories into latent points."""
    input:
        "results/{study}/trajectories.h5",
    output:
        "results/{study}/trajectory_vae.h5",
    log:
        "logs/{study}/train_trajectory_vae.log",
    benchmark:
        "benchmarks/{study}/train_trajectory_vae.tsv"
    params:
        settings=settings_for(
            "seed", "trajectories.bounds", "trajectories.beta_d", "trajectory_vae"
        ),
    shell:
        """
        python "$SCRIPTS/train_trajectory_vae.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --trajectories {input:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule build_space:
    """Lay out the points of the search and drop those with infeasible trajectories."""
    input:
        trajectory_vae=branch(
            lambda wildcards: in_latents(wildcards.study),
            then="results/{study}/trajectory_vae.h5",
        ),
    output:
        "results/{study}/space.h5",
    log:
        "logs/{study}/build_space.log",
    benchmark:
        "benchmarks/{study}/build_space.tsv"
    params:
        settings=settings_for(
            "trajectories.bounds",
            "trajectories.beta_d",
            "trajectories.cycles",
            "trajectories.families",
            "trajectory_vae",
            "space",
        ),
        trajectory_vae=lambda wildcards, input: (
            f"--trajectory-vae {input.trajectory_vae}" if input.trajectory_vae else ""
        ),
    shell:
        """
        python "$SCRIPTS/build_space.py" \
            --settings {params.settings:q} \
            --threads {threads} {params.trajectory_vae} \
            --output {output:q} >{log:q} 2>&1
        """
