# Images. Needs the study's image source; makes results/{study}/images.h5.


rule images:
    """Read, scale and balance the images; draw the subset of the search."""
    input:
        image_files,
        script="scripts/prepare_images.py",
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
        python {input.script:q} \
            --settings {params.settings:q} \
            --output {output:q} > {log:q} 2>&1
        """
