# Trajectories and their latent space (table 1, steps 1 to 4).
# Needs settings alone; makes trajectories.h5, trajectory_vae.h5 and space.h5.


rule trajectories:
    """Sample trajectories from each family."""
    output:
        "results/{study}/trajectories.h5",
    log:
        "logs/{study}/trajectories.log",
    benchmark:
        "benchmarks/{study}/trajectories.tsv"
    params:
        settings=settings_for("trajectories"),
    shell:
        """
        python scripts/sample_trajectories.py \
            --settings {params.settings:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule trajectory_vae:
    """Train the VAE that compresses trajectories into latent points."""
    input:
        "results/{study}/trajectories.h5",
    output:
        "results/{study}/trajectory_vae.h5",
    log:
        "logs/{study}/trajectory_vae.log",
    benchmark:
        "benchmarks/{study}/trajectory_vae.tsv"
    params:
        settings=settings_for("trajectory_vae"),
    shell:
        """
        python scripts/train_trajectory_vae.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --trajectories {input:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule search_space:
    """Lay out the latent points and drop those with infeasible trajectories."""
    input:
        "results/{study}/trajectory_vae.h5",
    output:
        "results/{study}/space.h5",
    log:
        "logs/{study}/space.log",
    benchmark:
        "benchmarks/{study}/space.tsv"
    params:
        settings=settings_for("space"),
    shell:
        """
        python scripts/build_space.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --trajectory-vae {input:q} \
            --output {output:q} >{log:q} 2>&1
        """
