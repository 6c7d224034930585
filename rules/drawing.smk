# Figures and the report. Need what the stages before made; make results/{study}/figures/*.pdf and *.png,
# the paper's as results/paper/*.pdf and *.png (at the reduced scale in paper-reduced/) and
# results/report.html. The paper's are targets: `snakemake fig07`.


include: "functions/drawing.smk"


rule figure:
    """Draw a figure of a study, or of new images."""
    input:
        unpack(files_of_figure),
        script=f"{SCRIPTS}/figures/{{figure}}.py",
        drawing=DRAWING,
    output:
        pdf="results/{sample}/figures/{figure}.pdf",
        png="results/{sample}/figures/{figure}.png",
    log:
        "logs/{sample}/figures/{figure}.log",
    wildcard_constraints:
        figure="|".join(ALL_FIGURES),
    params:
        files=options_of_figure,
    shell:
        """
        python -m zbo.base.warm {input.script:q} {params.files} \
            --output {output:q} >{log:q} 2>&1
        """


rule paper:
    """Draw every figure of the paper."""
    input:
        expand(
            "results/{paper}/{figure}.{end}",
            paper=PAPER,
            figure=PAPER_FIGURES,
            end=["pdf", "png"],
        ),


for name, (script, _, files, told) in PAPER_FIGURES.items():
    if name == "fig04":  # is drawn from a run of Snakemake's own, below
        continue

    rule:
        name:
            name
        input:
            unpack(files_of_paper_figure(name)),
            script=f"{SCRIPTS}/figures/paper/{script}.py",
            drawing=DRAWING,
        output:
            expand(
                "results/{paper}/{name}.{end}",
                paper=PAPER,
                name=name,
                end=["pdf", "png"],
            ),
        log:
            f"logs/{PAPER}/{name}.log",
        params:
            files=options_of_paper_figure(name),
            told=told,
        shell:
            """
            python {input.script:q} {params.files} {params.told} \
                --output {output:q} >{log:q} 2>&1
            """


rule fig04:
    """Draw how the rules depend on each other, once a search has closed their loop."""
    input:
        unpack(files_of_paper_figure("fig04")),
        script=f"{SCRIPTS}/figures/paper/fig04.py",
        drawing=DRAWING,
    output:
        expand("results/{paper}/fig04.{end}", paper=PAPER, end=["pdf", "png"]),
    log:
        f"logs/{PAPER}/fig04.log",
    container:
        # Never in the image, which has no Snakemake; the linter wants a name where none is used.
        None if workflow.deployment_settings.deployment_method else IMAGE
    params:
        snakefile=PROJECT / "Snakefile",
    shell:
        """
        snakemake --nolock --snakefile {params.snakefile:q} --rulegraph dot {input.scores:q} 2>{log:q} \
            | python {input.script:q} --checkpoint bo_iteration --output {output:q} >>{log:q} 2>&1
        """


rule report:
    """Put figures, scores and facts of every study named in the config into one page."""
    input:
        last_iterations,
        scores=expand("results/{study}/scores.csv", study=RUN),
        figures=[figure for study in RUN for figure in figures_of(study)],
        paper=pages_of_paper,
        captions=expand(
            f"{CAPTIONS}/{{figure}}.rst",
            figure=[*FIGURES, *PAPER_FIGURES, "objective", "claims"],
        ),
        template=f"{SCRIPTS}/figures/report.html",
        script=f"{SCRIPTS}/figures/report.py",
    output:
        "results/report.html",
    log:
        "logs/report.log",
    params:
        studies=folders_of_studies,
        more=figures_asked_for,
        captions=folder_of_captions,
    shell:
        """
        python {input.script:q} \
            --studies {params.studies:q} \
            --figures {input.figures:q} {params.more:q} \
            --paper {input.paper:q} \
            --captions {params.captions:q} \
            --template {input.template:q} \
            --output {output:q} >{log:q} 2>&1
        """
