# Models compared (figures 7, 9, 11 and 12) and the paper's claims judged. Needs images.h5 and optimum.h5;
# makes schedules/*.h5, best_*.h5, transfer.h5, models/*.h5, yardsticks.h5, scores.csv, model.h5,
# model.pt and classes.csv of each study; of new images, shown to a study's kept model, the same in
# results/{study}/apply/; and of the paper's three results/paper/claims.csv and .html, at the reduced scale
# in paper-reduced/.


include: "functions/judge.smk"


rule choose_schedules:
    """Choose the forms of a schedule made by hand that the search is compared with."""
    output:
        "results/{study}/schedules/{schedule}.h5",
    log:
        "logs/{study}/choose_schedules/{schedule}.log",
    benchmark:
        "benchmarks/{study}/choose_schedules/{schedule}.tsv"
    params:
        settings=settings_for(
            "trajectories.bounds",
            "trajectories.beta_d",
            "trajectories.cycles",
            "compare.forms",
        ),
    shell:
        """
        python "$SCRIPTS/choose_schedules.py" \
            --settings {params.settings:q} \
            --schedule {wildcards.schedule} \
            --output {output:q} >{log:q} 2>&1
        """


rule choose_best_schedule:
    """Score the forms of a schedule and take the one with the highest objective."""
    input:
        schedules="results/{study}/schedules/{schedule}.h5",
        trials=trials_of_schedule,
    output:
        "results/{study}/best_{schedule}.h5",
    log:
        "logs/{study}/choose_best_schedule/{schedule}.log",
    benchmark:
        "benchmarks/{study}/choose_best_schedule/{schedule}.tsv"
    params:
        settings=settings_for("objective"),
    shell:
        """
        python -m zbo.base.warm "$SCRIPTS/choose_best_schedule.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --schedules {input.schedules:q} \
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
        python -m zbo.base.warm "$SCRIPTS/train_model.py" \
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
        yardsticks="results/{study}/yardsticks.h5",
        script=f"{SCRIPTS}/score_models.py",
    output:
        "results/{study}/scores.csv",
    log:
        "logs/{study}/score_models.log",
    benchmark:
        "benchmarks/{study}/score_models.tsv"
    params:
        settings=settings_for("objective", "model.classes", "compare.kinds"),
    shell:
        """
        python -m zbo.base.warm {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --models {input.models:q} \
            --yardsticks {input.yardsticks:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule yardsticks:
    """Cluster the pixels themselves, upright and turned."""
    input:
        images="results/{study}/images.h5",
        script=f"{SCRIPTS}/yardsticks.py",
        method=f"{SCRIPTS}/zbo/judge/baselines.py",
    output:
        "results/{study}/yardsticks.h5",
    log:
        "logs/{study}/yardsticks.log",
    benchmark:
        "benchmarks/{study}/yardsticks.tsv"
    params:
        settings=settings_for("seed", "model.classes", "compare.kinds", "compare.seeds"),
    shell:
        """
        python -m zbo.base.warm {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule count_kinds:
    """Ask models of 2, 3, ... classes how many kinds there are; no part of a whole run."""
    input:
        models=models_of_kinds,
        script=f"{SCRIPTS}/count_kinds.py",
        method=f"{SCRIPTS}/zbo/judge/kinds.py",
    output:
        "results/{study}/kinds.csv",
    log:
        "logs/{study}/count_kinds.log",
    benchmark:
        "benchmarks/{study}/count_kinds.tsv"
    shell:
        """
        python {input.script:q} \
            --models {input.models:q} \
            --output {output:q} 2>{log:q} | tee -a {log:q}
        """


rule keep_model:
    """Choose the model to keep, with the seeds that vote on classes."""
    input:
        images="results/{study}/images.h5",
        scores="results/{study}/scores.csv",
        models=seeds_of_optimum,
        script=f"{SCRIPTS}/keep_model.py",
        answer=f"{SCRIPTS}/zbo/judge/answer.py",
        angles=f"{SCRIPTS}/zbo/judge/angles.py",
        consensus=f"{SCRIPTS}/zbo/judge/consensus.py",
    output:
        kept="results/{study}/model.h5",
        pyroved="results/{study}/model.pt",
    log:
        "logs/{study}/keep_model.log",
    benchmark:
        "benchmarks/{study}/keep_model.tsv"
    params:
        settings=settings_for("seed", "compare.kinds"),
    shell:
        """
        python -m zbo.base.warm {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --scores {input.scores:q} \
            --models {input.models:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule write_classes:
    """Say of each image of which class it is, how sure that is, how it is turned, what varies."""
    input:
        images="results/{sample}/images.h5",
        model="results/{sample}/model.h5",
        script=f"{SCRIPTS}/write_classes.py",
        answer=f"{SCRIPTS}/zbo/judge/answer.py",
    output:
        "results/{sample}/classes.csv",
    log:
        "logs/{sample}/write_classes.log",
    benchmark:
        "benchmarks/{sample}/write_classes.tsv"
    shell:
        """
        python -m zbo.base.warm {input.script:q} \
            --settings '{{}}' \
            --threads {threads} \
            --images {input.images:q} \
            --model {input.model:q} \
            --output {output:q} 2>{log:q} | tee -a {log:q}
        """


rule apply:
    """Say of new images what the kept model of each study named in the config knows of them."""
    input:
        results_of_new,


rule prepare_new:
    """Prepare new images as a study's were, with its kept model beside them.

    The study is no input: what it kept is applied, whatever has become of its settings.
    """
    output:
        images="results/{study}/apply/{new}/images.h5",
        table="results/{study}/apply/{new}/images.csv",
        model="results/{study}/apply/{new}/model.h5",
    log:
        "logs/{study}/apply/{new}/prepare_new.log",
    benchmark:
        "benchmarks/{study}/apply/{new}/prepare_new.tsv"
    params:
        path=path_of_new,
        coordinates=coordinates_of_new,
        files=digest_of_new,
    shell:
        """
        python "$SCRIPTS/prepare_new.py" \
            --study results/{wildcards.study} \
            --path {params.path:q} \
            --coordinates {params.coordinates:q} \
            --images {output.images:q} \
            --table {output.table:q} \
            --model {output.model:q} >{log:q} 2>&1
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
