# What the rules of data.smk ask for, where their wildcards alone do not say it.


def image_files(wildcards):
    """Name the files that the study's images and labels come from, where they are not folders."""
    chosen = STUDIES[wildcards.study]["images"]
    coordinates = (chosen["patches"] or {}).get("coordinates")
    given = filter(None, [chosen["path"], chosen["labels"], coordinates])
    return [path for path in map(os.path.expandvars, given) if os.path.isfile(path)]


def digest_of_images(wildcards):
    """Digest the image and label files, so that replacing one is noticed.

    A folder's may be thousands: as inputs Snakemake would look at each again and again. Of a single
    file, too, time alone does not tell: a copy may be older than what was made of the last.
    """
    return digest_of_study(wildcards.study)


@cache
def digest_of_study(study):
    chosen = STUDIES[study]["images"]
    coordinates = (chosen["patches"] or {}).get("coordinates")
    return sources.digest(
        sources.files(chosen["source"], chosen["path"], chosen["labels"], coordinates)
    )
