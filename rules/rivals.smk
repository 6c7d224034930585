# Searches and objectives compared at equal cost: replayed on the measuring ground, thousands of trainings
# made once, and run for real, zBO and its rivals (zbo/rivals/), each several times. Needs images.h5,
# space.h5 and trajectory_vae.h5; makes ground/*.h5, ground.h5, objectives.csv, searches-{objective}.csv,
# rivals/*.h5, rivals.csv and figures of them.


include: "functions/rivals.smk"


rule design_ground:
    """Choose the latent points and constants that the ground measures."""
    input:
        space="results/{study}/space.h5",
        trajectory_vae="results/{study}/trajectory_vae.h5",
    output:
        "results/{study}/ground/design.h5",
    log:
        "logs/{study}/design_ground.log",
    params:
        settings=settings_for(
            "seed",
            "trajectories.bounds",
            "trajectories.beta_d",
            "trajectories.cycles",
            "trajectory_vae",
            "space.coordinates",
            "ground.points",
            "ground.seeds",
            "ground.constants",
            "ground.constant_seeds",
        ),
    shell:
        """
        python "$SCRIPTS/design_ground.py" \
            --settings {params.settings:q} \
            --space {input.space:q} \
            --trajectory-vae {input.trajectory_vae:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule measure_ground:
    """Train and measure one block of the ground's rows."""
    input:
        images="results/{study}/images.h5",
        design="results/{study}/ground/design.h5",
    output:
        "results/{study}/ground/{block}.h5",
    log:
        "logs/{study}/measure_ground/{block}.log",
    benchmark:
        "benchmarks/{study}/measure_ground/{block}.tsv"
    params:
        settings=settings_for(
            "seed",
            "trajectories.beta_d",
            "model",
            "training",
            "objective.grid",
            "objective.window",
            "objective.sigma",
            "objective.pairs",
            "ground.block",
        ),
    shell:
        """
        python "$SCRIPTS/measure_ground.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --design {input.design:q} \
            --block {wildcards.block} \
            --output {output:q} 2>{log:q}
        """


rule collect_ground:
    """Put the ground's measurements into one table."""
    input:
        images="results/{study}/images.h5",
        design="results/{study}/ground/design.h5",
        blocks=blocks_of_ground,
    output:
        "results/{study}/ground.h5",
    log:
        "logs/{study}/collect_ground.log",
    params:
        settings=settings_for(
            "seed",
            "images",
            "trajectories",
            "trajectory_vae",
            "model",
            "training",
            "objective.grid",
            "objective.window",
            "objective.sigma",
            "objective.pairs",
            "compare.unit_pixels",
            "ground",
        ),
    shell:
        """
        python "$SCRIPTS/collect_ground.py" \
            --settings {params.settings:q} \
            --images {input.images:q} \
            --design {input.design:q} \
            --blocks {input.blocks:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule rank_objectives:
    """Ask the ground how well each objective ranks models as their labels do."""
    input:
        ground="results/{study}/ground.h5",
        script=f"{SCRIPTS}/rank_objectives.py",
        library=expand(
            f"{SCRIPTS}/zbo/{{module}}.py",
            module=["rivals/ground", "base/objectives", "rivals/replay"],
        ),
    output:
        "results/{study}/objectives.csv",
    log:
        "logs/{study}/rank_objectives.log",
    params:
        settings=settings_for("seed"),
    shell:
        """
        python {input.script:q} \
            --settings {params.settings:q} \
            --ground {input.ground:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule compare_searches:
    """Replay searches on the ground at equal cost, for one objective or two."""
    input:
        ground="results/{study}/ground.h5",
        script=f"{SCRIPTS}/compare_searches.py",
        library=expand(
            f"{SCRIPTS}/zbo/{{module}}.py",
            module=[
                "rivals/arena",
                "rivals/ground",
                "base/objectives",
                "search/optimize",
                "rivals/replay",
                "rivals/searches",
                "search/surrogate",
            ],
        ),
    output:
        "results/{study}/searches-{objective}.csv",
    log:
        "logs/{study}/compare_searches/{objective}.log",
    threads: 4
    params:
        settings=settings_for(
            "seed", "rivals.budget", "rivals.replays", "rivals.at_least"
        ),
        # Two are joined by a plus, as in searches-information+factors.csv.
        objectives=lambda wildcards: wildcards.objective.split("+"),
    shell:
        """
        python {input.script:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --ground {input.ground:q} \
            --objective {params.objectives:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_objectives:
    """Show how objectives rank the ground's trainings beside how their labels do."""
    input:
        ground="results/{study}/ground.h5",
        script=f"{SCRIPTS}/figures/objectives.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
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


rule run_search:
    """Run one search and train along what it recommends with fresh seeds."""
    input:
        images="results/{study}/images.h5",
        space="results/{study}/space.h5",
        # The lottery is told the best constant.
        ground=branch(
            lambda wildcards: wildcards.search == "lottery",
            then="results/{study}/ground.h5",
        ),
    output:
        "results/{study}/rivals/{search}-{repeat}.h5",
    log:
        "logs/{study}/run_search/{search}-{repeat}.log",
    benchmark:
        "benchmarks/{study}/run_search/{search}-{repeat}.tsv"
    # Every search once before any a second time, so that what is there early compares all.
    priority: lambda wildcards: -int(wildcards.repeat)
    params:
        settings=settings_for(
            "seed",
            "trajectories.bounds",
            "trajectories.families",
            "trajectories.beta_d",
            "trajectories.cycles",
            "model",
            "training",
            "objective",
            "rivals.budget",
            "rivals.fresh_seeds",
            "rivals.at_least",
        ),
        ground=lambda wildcards, input: (
            f"--ground {input.ground}" if input.ground else ""
        ),
    shell:
        """
        python "$SCRIPTS/run_search.py" \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --space {input.space:q} \
            --search {wildcards.search} \
            --repeat {wildcards.repeat} {params.ground} \
            --output {output:q} 2>{log:q}
        """


rule collect_rivals:
    """Put what the searches found into one table."""
    input:
        searches=rivals_of_study,
        script=f"{SCRIPTS}/collect_rivals.py",
    output:
        "results/{study}/rivals.csv",
    log:
        "logs/{study}/collect_rivals.log",
    shell:
        """
        python {input.script:q} \
            --searches {input.searches:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule figure_searches:
    """Show zBO and its rivals at equal cost: replayed on the ground, and run for real."""
    input:
        replayed="results/{study}/searches-{objective}.csv",
        rivals="results/{study}/rivals.csv",
        script=f"{SCRIPTS}/figures/searches.py",
        plots=f"{SCRIPTS}/zbo/drawing/plots.py",
    output:
        pdf="results/{study}/figures/searches-{objective}.pdf",
        png="results/{study}/figures/searches-{objective}.png",
    log:
        "logs/{study}/figures/searches-{objective}.log",
    shell:
        """
        python {input.script:q} \
            --replayed {input.replayed:q} \
            --rivals {input.rivals:q} \
            --output {output:q} >{log:q} 2>&1
        """
