# The report. Needs everything of the studies named in the config and, where they are the paper's
# three, of its figures and claims; makes results/report.html.


rule report:
    """Put figures, scores and facts of every study named in the config into one page."""
    input:
        last_iterations,
        scores=expand("results/{study}/scores.csv", study=RUN),
        figures=expand(
            "results/{study}/figures/{figure}.png", study=RUN, figure=FIGURES
        ),
        paper=pages_of_paper,
        captions=expand(
            "rules/captions/{figure}.rst",
            figure=[*FIGURES, *PAPER_FIGURES, "objective", "claims"],
        ),
        template="scripts/figures/report.html",
        script="scripts/figures/report.py",
    output:
        "results/report.html",
    log:
        "logs/report.log",
    params:
        studies=folders_of_studies,
        figures=FIGURES,
    shell:
        """
        python {input.script:q} \
            --studies {params.studies:q} \
            --figures {params.figures:q} \
            --paper {input.paper:q} \
            --captions rules/captions \
            --template {input.template:q} \
            --output {output:q} >{log:q} 2>&1
        """
