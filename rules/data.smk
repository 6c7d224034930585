# Images. Needs the study's image source; makes results/{study}/images.h5.
# A stage that trainings depend on does not list its script as an input: a comment changed there
# would train everything again. Scores and figures do.


rule images:
    """Read, scale and balance the images; draw the subset of the search."""
    input:
        image_files,
    output:
        "results/{study}/images.h5",
    log:
        "logs/{study}/images.log",
    benchmark:
        "benchmarks/{study}/images.tsv"
    params:
        settings=settings_for("images"),
    shell:
        """
        python scripts/prepare_images.py \
            --settings {params.settings:q} \
            --output {output:q} >{log:q} 2>&1
        """
