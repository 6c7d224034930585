# Models compared (figures 7, 9, 11 and 12) and the paper's claims judged. Needs images.h5 and optimum.h5;
# makes constants.h5, best_constant.h5, transfer.h5, models/*.h5 and scores.csv of each study, and of the
# paper's three results/paper/claims.csv and .html, at the reduced scale in paper-reduced/.


include: "functions/judge.smk"


rule choose_constants:
    """Choose the constant trajectories the search is compared with."""
    output:
        "results/{study}/constants.h5",
    log:
        "logs/{study}/choose_constants.log",
    benchmark:
        "benchmarks/{study}/choose_constants.tsv"
    params:
        settings=settings_for(
            "trajectories.bounds",
            "trajectories.beta_d",
            "trajectories.cycles",
            "compare.constants",
        ),
    shell:
        """
        python "$SCRIPTS/choose_constants.py" \
            --settings {params.settings:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule choose_best_constant:
    """Score the constant trajectories and take the one with the highest objective."""
    input:
        constants="results/{study}/constants.h5",
        trials=trials_of_constants,
    output:
        "results/{study}/best_constant.h5",
    log:
        "logs/{study}/choose_best_constant.log",
    benchmark:
        "benchmarks/{study}/choose_best_constant.tsv"
    params:
        settings=settings_for("objective"),
    shell:
        """
        python "$SCRIPTS/choose_best_constant.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --constants {input.constants:q} \
            --trials {input.trials:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule choose_transfer:
    """Fit another study's optimum to this study's cycles and bounds (figure B2)."""
    input:
        optimum=optimum_to_transfer,
    output:
        "results/{study}/transfer.h5",
    log:
        "logs/{study}/choose_transfer.log",
    benchmark:
        "benchmarks/{study}/choose_transfer.tsv"
    params:
        settings=settings_for(
            "trajectories.bounds", "trajectories.beta_d", "trajectories.cycles"
        ),
        bounds=bounds_to_transfer,
    shell:
        """
        python "$SCRIPTS/choose_transfer.py" \
            --settings {params.settings:q} \
            --optimum {input.optimum:q} \
            --bounds {params.bounds} \
            --output {output:q} >{log:q} 2>&1
        """


rule train_model:
    """Train one compared model on all images."""
    input:
        images="results/{study}/images.h5",
        trajectory=trajectory_of_model,
    output:
        "results/{study}/models/{model}-{replicate}.h5",
    log:
        "logs/{study}/train_model/{model}-{replicate}.log",
    benchmark:
        "benchmarks/{study}/train_model/{model}-{replicate}.tsv"
    resources:
        gpu=1,
        gres="",
    params:
        settings=settings_of_model,
    shell:
        """
        python "$SCRIPTS/train_model.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --gpus {resources.gpu},{resources.gres} \
            --images {input.images:q} \
            --model {wildcards.model} \
            --replicate {wildcards.replicate} \
            --trajectory {input.trajectory:q} \
            --output {output:q} 2>{log:q} | tee -a {log:q}
        """


rule score_models:
    """Score the compared models, by labels where there are any."""
    input:
        images="results/{study}/images.h5",
        models=models_of_study,
        script=f"{SCRIPTS}/score_models.py",
    output:
        "results/{study}/scores.csv",
    log:
        "logs/{study}/score_models.log",
    benchmark:
        "benchmarks/{study}/score_models.tsv"
    params:
        settings=settings_for("objective", "model.classes"),
    shell:
        """
        python {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --models {input.models:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule claims:
    """Judge the paper's claims at the scale that the config names."""
    input:
        # Named here as well as behind the optima: else a raised budget goes unseen.
        last_iterations_of_paper,
        expand(
            "results/{paper}/{file}", paper=PAPER, file=["claims.csv", "objective.pdf"]
        ),


rule judge_claims:
    """Compare what the paper says with what came out."""
    input:
        scores=of_paper("results/{study}/scores.csv"),
        optima=of_paper("results/{study}/optimum.h5"),
        spaces=of_paper("results/{study}/space.h5"),
        images=of_paper("results/{study}/images.h5"),
        script=f"{SCRIPTS}/judge_claims.py",
        rules=f"{SCRIPTS}/zbo/judge/claims.py",
        claims=f"{SCRIPTS}/zbo/judge/paper_claims.py",
    output:
        csv="results/{paper}/claims.csv",
        html="results/{paper}/claims.html",
    log:
        "logs/{paper}/judge_claims.log",
    benchmark:
        "benchmarks/{paper}/judge_claims.tsv"
    shell:
        """
        python {input.script:q} \
            --scores {input.scores:q} \
            --optima {input.optima:q} \
            --spaces {input.spaces:q} \
            --images {input.images:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_objective:
    """Show whether models with a higher ℓ1 have a higher accuracy."""
    input:
        scores=of_paper("results/{study}/scores.csv"),
        script=f"{SCRIPTS}/figures/objective.py",
        rules=f"{SCRIPTS}/zbo/judge/claims.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
    output:
        pdf="results/{paper}/objective.pdf",
        png="results/{paper}/objective.png",
    log:
        "logs/{paper}/figure_objective.log",
    shell:
        """
        python {input.script:q} \
            --scores {input.scores:q} \
            --output {output:q} >{log:q} 2>&1
        """
