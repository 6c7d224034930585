# The search (table 1, steps 5 to 10). Needs space.h5 and images.h5; makes design.h5, trials/*.h5,
# iterations/*.h5 and optimum.h5.


rule design:
    """Choose the starting trials in the feasible space."""
    input:
        "results/{study}/space.h5",
    output:
        "results/{study}/design.h5",
    log:
        "logs/{study}/design.log",
    benchmark:
        "benchmarks/{study}/design.tsv"
    resources:
        batch_size=batch_size,
    params:
        settings=settings_for("design"),
    shell:
        # The batch is only checked, so it comes as a resource: a changed parameter would run the
        # design again.
        """
        python scripts/design.py \
            --settings {params.settings:q} \
            --space {input:q} \
            --batch-size {resources.batch_size} \
            --output {output:q} >{log:q} 2>&1
        """


rule train_trial:
    """Train along one trajectory and keep what that learned, for any objective to score."""
    input:
        images="results/{study}/images.h5",
        candidates=candidates_of_trial,
    output:
        "results/{study}/trials/{trial}.h5",
    log:
        "logs/{study}/train_trial/{trial}.log",
    benchmark:
        "benchmarks/{study}/train_trial/{trial}.tsv"
    # The search is one trial after another; whatever else is ready fills the gaps.
    priority: 1
    resources:
        gpu=1,
    params:
        settings=settings_for("train_trial"),
        index=index_of_trial,
    shell:
        """
        python scripts/warm.py scripts/train_trial.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --gpus {resources.gpu} \
            --images {input.images:q} \
            --candidates {input.candidates:q} \
            --index {params.index} \
            --trial {wildcards.trial:q} \
            --output {output:q} 2>{log:q} | tee -a {log:q}
        """


checkpoint bo_iteration:
    """Score the latest trials, fit the surrogate to all so far and choose the next ones."""
    input:
        space="results/{study}/space.h5",
        candidates=candidates_before,
        trials=trials_before,
    output:
        "results/{study}/iterations/{iteration}.h5",
    log:
        "logs/{study}/bo_iteration/{iteration}.log",
    benchmark:
        "benchmarks/{study}/bo_iteration/{iteration}.tsv"
    resources:
        budget=budget,
    params:
        settings=settings_for("bo_iteration"),
        trained=settings_for("train_trial"),
    shell:
        # Its one line of progress goes to the terminal, the rest to the log. The budget comes as a
        # resource since a changed parameter would run every iteration again.
        """
        python scripts/warm.py scripts/bo_iteration.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --space {input.space:q} \
            --candidates {input.candidates:q} \
            --trials {input.trials:q} \
            --trained {params.trained:q} \
            --iteration {wildcards.iteration} \
            --budget {resources.budget} \
            --output {output:q} 2>{log:q} | tee -a {log:q}
        """


rule optimum:
    """Take the optimum out of the last iteration."""
    input:
        space="results/{study}/space.h5",
        iteration=last_iteration,
    output:
        "results/{study}/optimum.h5",
    log:
        "logs/{study}/optimum.log",
    benchmark:
        "benchmarks/{study}/optimum.tsv"
    params:
        settings=settings_for("optimum"),
    shell:
        """
        python scripts/choose_optimum.py \
            --settings {params.settings:q} \
            --space {input.space:q} \
            --iteration {input.iteration:q} \
            --output {output:q} >{log:q} 2>&1
        """
