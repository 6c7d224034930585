# Images. Needs the study's image source; makes
# results/{study}/images.h5 and images.csv.
# A stage that trainings depend on does not list its script as an input: a comment changed there
# would train everything again. Scores and figures do.


include: "functions/data.smk"


rule prepare_images:
    """Read, scale and balance the images; draw the subset of the search."""
    input:
        image_files,
    output:
        images="results/{study}/images.h5",
        table="results/{study}/images.csv",
    log:
        "logs/{study}/prepare_images.log",
    benchmark:
        "benchmarks/{study}/prepare_images.tsv"
    params:
        settings=settings_for("seed", "images", "model.invariances"),
        files=digest_of_images,
    shell:
        """
        python "$SCRIPTS/prepare_images.py" \
            --settings {params.settings:q} \
            --output {output.images:q} \
            --table {output.table:q} >{log:q} 2>&1
        """
