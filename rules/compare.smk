# The models compared (figures 7, 9, 11 and 12). Needs images.h5 and optimum.h5; makes constants.h5,
# best_constant.h5, transfer.h5, models/*.h5 and scores.csv.


rule constants:
    """Choose the constant trajectories the search is compared with."""
    output:
        "results/{study}/constants.h5",
    log:
        "logs/{study}/constants.log",
    benchmark:
        "benchmarks/{study}/constants.tsv"
    params:
        settings=settings_for("constants"),
    shell:
        """
        python scripts/choose_constants.py \
            --settings {params.settings:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule best_constant:
    """Score the constant trajectories and take the one with the highest objective."""
    input:
        constants="results/{study}/constants.h5",
        trials=trials_of_constants,
    output:
        "results/{study}/best_constant.h5",
    log:
        "logs/{study}/best_constant.log",
    benchmark:
        "benchmarks/{study}/best_constant.tsv"
    params:
        settings=settings_for("best_constant"),
    shell:
        """
        python scripts/choose_best_constant.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --constants {input.constants:q} \
            --trials {input.trials:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule transfer:
    """Fit another study's optimum to this study's cycles and bounds (figure B2)."""
    input:
        optimum=optimum_to_transfer,
    output:
        "results/{study}/transfer.h5",
    log:
        "logs/{study}/transfer.log",
    benchmark:
        "benchmarks/{study}/transfer.tsv"
    params:
        settings=settings_for("transfer"),
        bounds=bounds_to_transfer,
    shell:
        """
        python scripts/choose_transfer.py \
            --settings {params.settings:q} \
            --optimum {input.optimum:q} \
            --bounds {params.bounds} \
            --output {output:q} >{log:q} 2>&1
        """


rule model:
    """Train one compared model on all images."""
    input:
        images="results/{study}/images.h5",
        trajectory=trajectory_of_model,
    output:
        "results/{study}/models/{model}-{replicate}.h5",
    log:
        "logs/{study}/model/{model}-{replicate}.log",
    benchmark:
        "benchmarks/{study}/model/{model}-{replicate}.tsv"
    resources:
        gpu=1,
    params:
        settings=settings_of_model,
    shell:
        """
        python scripts/train_model.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --gpus {resources.gpu} \
            --images {input.images:q} \
            --model {wildcards.model} \
            --replicate {wildcards.replicate} \
            --trajectory {input.trajectory:q} \
            --output {output:q} 2>{log:q} | tee -a {log:q}
        """


rule scores:
    """Score the compared models, by labels where there are any."""
    input:
        images="results/{study}/images.h5",
        models=models_of_study,
        script="scripts/score_models.py",
    output:
        "results/{study}/scores.csv",
    log:
        "logs/{study}/scores.log",
    benchmark:
        "benchmarks/{study}/scores.tsv"
    params:
        settings=settings_for("scores"),
    shell:
        """
        python {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --models {input.models:q} \
            --output {output:q} >{log:q} 2>&1
        """
