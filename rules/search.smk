# The search (table 1, steps 5 to 10). Needs space.h5 and images.h5; makes design.h5, trials/*.h5,
# iterations/*.h5 and optimum.h5.


include: "functions/search.smk"


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
        settings=settings_for("seed", "search.initial", "search.design"),
    shell:
        # The batch is only checked, so it comes as a resource: a changed parameter would run the
        # design again.
        """
        python -m zbo.base.warm "$SCRIPTS/design.py" \
            --settings {params.settings:q} \
            --space {input:q} \
            --batch-size {resources.batch_size} \
            --output {output:q} >{log:q} 2>&1
        """


settings_of_training = settings_for(
    "seed",
    "trajectories.beta_d",
    "model",
    "training",
    "search.replicates",
    "search.seeds",
)


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
        gres="",
    params:
        settings=settings_of_training,
        index=index_of_trial,
    shell:
        """
        python -m zbo.base.warm "$SCRIPTS/train_trial.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --gpus {resources.gpu},{resources.gres} \
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
        settings=settings_for(
            "seed",
            "objective",
            "search.batch_size",
            "search.surrogate",
            "search.acquisition",
            "search.ucb_beta",
        ),
        trained=settings_of_training,
    shell:
        # Its one line of progress goes to the terminal, the rest to the log. The budget comes as a
        # resource since a changed parameter would run every iteration again.
        """
        python -m zbo.base.warm "$SCRIPTS/bo_iteration.py" \
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


rule choose_optimum:
    """Take the optimum out of the last iteration."""
    input:
        space="results/{study}/space.h5",
        iteration=last_iteration,
    output:
        "results/{study}/optimum.h5",
    log:
        "logs/{study}/choose_optimum.log",
    benchmark:
        "benchmarks/{study}/choose_optimum.tsv"
    params:
        settings=settings_for("search.stop_threshold", "search.stop_patience"),
    shell:
        """
        python "$SCRIPTS/choose_optimum.py" \
            --settings {params.settings:q} \
            --space {input.space:q} \
            --iteration {input.iteration:q} \
            --output {output:q} >{log:q} 2>&1
        """
