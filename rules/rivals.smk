# Searches run for real at equal cost, zBO and its rivals (zbo/searches.py, zbo/population.py), each
# several times. Needs images.h5, space.h5 and the measuring ground; makes rivals/*.h5, rivals.csv
# and figures/searches-{objective}.pdf.


rule rival:
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
        "logs/{study}/rivals/{search}-{repeat}.log",
    benchmark:
        "benchmarks/{study}/rivals/{search}-{repeat}.tsv"
    # Every search once before any a second time, so that what is there early compares all.
    priority: lambda wildcards: -int(wildcards.repeat)
    params:
        settings=settings_for("rival"),
        ground=lambda wildcards, input: (
            f"--ground {input.ground}" if input.ground else ""
        ),
    shell:
        """
        python scripts/run_search.py \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {input.images:q} \
            --space {input.space:q} \
            --search {wildcards.search} \
            --repeat {wildcards.repeat} {params.ground} \
            --output {output:q} 2>{log:q}
        """


rule rivals:
    """Put what the searches found into one table."""
    input:
        searches=rivals_of_study,
        script="scripts/collect_rivals.py",
    output:
        "results/{study}/rivals.csv",
    log:
        "logs/{study}/rivals.log",
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
        script="scripts/figures/searches.py",
        plots="scripts/zbo/drawing/plots.py",
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
