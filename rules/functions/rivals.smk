# What the rules of rivals.smk ask for, where their wildcards alone do not say it.


def blocks_of_ground(wildcards):
    """Every block of the measuring ground."""
    chosen = STUDIES[wildcards.study]["ground"]
    trainings = (
        chosen["points"] * chosen["seeds"]
        + chosen["constants"] * chosen["constant_seeds"]
    )
    return [
        f"results/{wildcards.study}/ground/{block}.h5"
        for block in range(-(-trainings // chosen["block"]))
    ]


def rivals_of_study(wildcards):
    """Every search that is run for real, each as often as the study says."""
    chosen = STUDIES[wildcards.study]["rivals"]
    return [
        f"results/{wildcards.study}/rivals/{search}-{repeat}.h5"
        for search in chosen["searches"]
        for repeat in range(chosen["repeats"])
    ]
