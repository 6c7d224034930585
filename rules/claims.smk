# The paper's claims, judged. Needs the scores, optima and images of its three studies; makes
# results/paper/claims.csv and .html and objective.pdf and .png, at the reduced scale paper-reduced/.


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
        script="scripts/judge_claims.py",
        rules="scripts/zbo/judge/claims.py",
        claims="scripts/zbo/judge/paper_claims.py",
    output:
        csv="results/{paper}/claims.csv",
        html="results/{paper}/claims.html",
    log:
        "logs/{paper}/claims.log",
    benchmark:
        "benchmarks/{paper}/claims.tsv"
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
        script="scripts/figures/objective.py",
        rules="scripts/zbo/judge/claims.py",
        plots="scripts/zbo/drawing/plots.py",
    output:
        pdf="results/{paper}/objective.pdf",
        png="results/{paper}/objective.png",
    log:
        "logs/{paper}/objective.log",
    shell:
        """
        python {input.script:q} \
            --scores {input.scores:q} \
            --output {output:q} >{log:q} 2>&1
        """
