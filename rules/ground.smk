# The measuring ground: thousands of trainings, once, on which searches and objectives are compared
# by replay. Needs images.h5, space.h5 and trajectory_vae.h5; makes ground/*.h5, ground.h5,
# objectives.csv, searches-{objective}.csv and figures/objectives.pdf.


rule ground_design:
    """Choose the latent points and constants that the ground measures."""
    input:
        space="results/{study}/space.h5",
        trajectory_vae="results/{study}/trajectory_vae.h5",
    output:
        "results/{study}/ground/design.h5",
    log:
        "logs/{study}/ground/design.log",
    params:
        settings=settings_for("ground_design"),
    shell:
        """
        python scripts/design_ground.py \
            --settings {params.settings:q} \
            --space {input.space:q} \
            --trajectory-vae {input.trajectory_vae:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule ground_block:
    """Train and measure one block of the ground's rows."""
    input:
        images="results/{study}/images.h5",
        design="results/{study}/ground/design.h5",
    output:
        "results/{study}/ground/{block}.h5",
    log:
        "logs/{study}/ground/{block}.log",
    benchmark:
        "benchmarks/{study}/ground/{block}.tsv"
    params:
        settings=settings_for("ground_block"),
    shell:
        """
        python scripts/measure_ground.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --design {input.design:q} \
            --block {wildcards.block} \
            --output {output:q} 2>{log:q}
        """


rule ground:
    """Put the ground's measurements into one table."""
    input:
        images="results/{study}/images.h5",
        design="results/{study}/ground/design.h5",
        blocks=blocks_of_ground,
    output:
        "results/{study}/ground.h5",
    log:
        "logs/{study}/ground.log",
    params:
        settings=settings_for("ground"),
    shell:
        """
        python scripts/collect_ground.py \
            --settings {params.settings:q} \
            --images {input.images:q} \
            --design {input.design:q} \
            --blocks {input.blocks:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule objectives:
    """Ask the ground how well each objective ranks models as their labels do."""
    input:
        ground="results/{study}/ground.h5",
        script="scripts/rank_objectives.py",
        library=expand(
            "scripts/zbo/{module}.py",
            module=["rivals/ground", "search/objective", "rivals/replay"],
        ),
    output:
        "results/{study}/objectives.csv",
    log:
        "logs/{study}/objectives.log",
    params:
        settings=settings_for("objectives"),
    shell:
        """
        python {input.script:q} \
            --settings {params.settings:q} \
            --ground {input.ground:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule searches:
    """Replay searches on the ground at equal cost, for one objective."""
    input:
        ground="results/{study}/ground.h5",
        script="scripts/compare_searches.py",
        library=expand(
            "scripts/zbo/{module}.py",
            module=[
                "rivals/arena",
                "rivals/ground",
                "search/objective",
                "search/optimize",
                "rivals/replay",
                "rivals/searches",
                "search/surrogate",
            ],
        ),
    output:
        "results/{study}/searches-{objective}.csv",
    log:
        "logs/{study}/searches-{objective}.log",
    threads: 4
    params:
        settings=settings_for("searches"),
    shell:
        """
        python {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --ground {input.ground:q} \
            --objective {wildcards.objective:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_objectives:
    """Show how objectives rank the ground's trainings beside how their labels do."""
    input:
        ground="results/{study}/ground.h5",
        script="scripts/figures/objectives.py",
        plots="scripts/zbo/drawing/plots.py",
    output:
        pdf="results/{study}/figures/objectives.pdf",
        png="results/{study}/figures/objectives.png",
    log:
        "logs/{study}/figures/objectives.log",
    shell:
        """
        python {input.script:q} \
            --ground {input.ground:q} \
            --output {output:q} >{log:q} 2>&1
        """
