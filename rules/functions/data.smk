# What the rules of data.smk ask for, where their wildcards alone do not say it.


def image_files(wildcards):
    """List the image and label files on this machine, so that replacing one is noticed."""
    chosen = STUDIES[wildcards.study]["images"]
    return sources.files(chosen["source"], chosen["path"], chosen["labels"])


def digest_of_images(wildcards):
    """Digest them, since a file copied with its time may be older than what was made of the last."""
    return sources.digest(image_files(wildcards))
