"""What the paper claims (Biswas et al. 2023, Mach. Learn.: Sci. Technol. 4 015011), claim by claim.

Each with where it says so and the rule that judges it (`zbo.judge.claims`). Claims about the
method's control, the best of several constants, are this project's question to it and say so.
"""

from dataclasses import dataclass

from zbo.base.config import PAPER_STUDIES
from zbo.judge.claims import (
    Rule,
    carries,
    cools,
    differs,
    extracts,
    follows,
    gains_more,
    higher,
    lower,
    mixes,
    only,
    stops_before,
)

MNIST, THREE, SEVEN = PAPER_STUDIES
OURS = "not in the paper"
# What is asked of each study's optimum beside what the paper says.
OF_EACH = (
    (
        "The optimum beats the best of several constants",
        OURS,
        higher("accuracy", "optimum", "constant"),
    ),
    (
        "The optimum keeps both, classes and what varies within them",
        OURS,
        carries("optimum", least=2),
    ),
)


@dataclass(frozen=True)
class Claim:
    """A statement about one study, or about the first of two beside the second."""

    studies: tuple[str, ...]
    text: str
    source: str
    rule: Rule


def _of(study: str, *claims: tuple[str, str, Rule]) -> tuple[Claim, ...]:
    return tuple(Claim((study,), *claim) for claim in claims)


CLAIMS = (
    *_of(
        MNIST,
        (
            "A vanilla VAE gives the worst result",
            "section 3, figure 7(b)",
            lower("accuracy", "vanilla"),
        ),
        (
            "A vanilla VAE does not extract all digits",
            "section 3, figure 7(b)",
            extracts("vanilla", most=9),
        ),
        (
            "A vanilla VAE's manifold varies by rotation, the jrVAE's does not",
            "section 3, figure 7(b)",
            higher("rotation", "vanilla", "optimum"),
        ),
        (
            "With β = 1 the jrVAE does better than a vanilla VAE",
            "section 3, figure 7(c)",
            higher("accuracy", "beta-1", "vanilla"),
        ),
        ("With β = 1 some labels mix", "section 3, figure 7(c)", mixes("beta-1", negligibly=False)),
        (
            "With the optimum all ten digits are separated",
            "section 3, figure 7(d)",
            extracts("optimum", least=10),
        ),
        (
            "With the optimum mixing is negligible",
            "section 3, figure 7(d)",
            mixes("optimum", negligibly=True),
        ),
        (
            "The optimum mixes less than β = 1",
            "section 3, figure 7(c, d)",
            higher("purity", "optimum", "beta-1"),
        ),
        (
            "The optimum gives the best result",
            "section 3, figure 7(d)",
            higher("accuracy", "optimum"),
        ),
        ("The optimum is a cooldown", "section 5, figure 6(c)", cools()),
        *OF_EACH,
        ("ℓ1 is enough to find what separates the labels", "section 3", follows("l1")),
    ),
    *_of(
        THREE,
        (
            "A vanilla VAE gives the worst result",
            "section 4, figure 9(a)",
            lower("accuracy", "vanilla"),
        ),
        (
            "A vanilla VAE does not separate the counts",
            "section 4, figure 9(a)",
            extracts("vanilla", most=2),
        ),
        (
            "Nor does a VAE with the case's settings",
            "section 4, figure 9(b)",
            extracts("vae", most=2),
        ),
        (
            "With β = 1 one count is separated, others mix",
            "section 4, figure 9(c)",
            extracts("beta-1", most=1),
        ),
        (
            "With β = 0.01 it improves on β = 1",
            "section 4, figure 9(d)",
            higher("accuracy", "beta-0.01", "beta-1"),
        ),
        (
            "With β = 0.01 two of three counts are separated",
            "section 4, figure 9(d)",
            extracts("beta-0.01", least=2, most=2),
        ),
        (
            "With the optimum all three counts are separated",
            "section 4, figure 9(e)",
            extracts("optimum", least=3),
        ),
        ("All three counts only with the optimum", "section 4, figure 9", only("optimum")),
        (
            "The optimum gives the best result",
            "section 4, figure 9(e)",
            higher("accuracy", "optimum"),
        ),
        (
            "The optimum does better than MNIST's",
            "section 4, figure B2",
            higher("accuracy", "optimum", "transfer"),
        ),
        ("The search ends before 100 evaluations", "section 4", stops_before(100)),
        *OF_EACH,
        ("The objective finds what separates the labels", "table 2", follows("objective")),
        ("ℓ1 alone finds what separates the labels", OURS, follows("l1")),
    ),
    Claim(
        (THREE, MNIST),
        "The optimum is very different from MNIST's",
        "section 4, figure 8(e)",
        differs(),
    ),
    *_of(
        SEVEN,
        (
            "A vanilla VAE separates no count",
            "section 4, figure 11(a)",
            extracts("vanilla", most=0),
        ),
        (
            "Nor does a VAE with the case's settings",
            "section 4, figure 11(b)",
            extracts("vae", most=0),
        ),
        (
            "With β = 1 no count can be identified",
            "section 4, figure 11(c)",
            extracts("beta-1", most=0),
        ),
        (
            "With β = 0.01 it improves on β = 1",
            "section 4, figure 12(a)",
            higher("accuracy", "beta-0.01", "beta-1"),
        ),
        (
            "With β = 0.01 two of seven counts are extracted",
            "section 4, figure 12(a)",
            extracts("beta-0.01", least=2, most=2),
        ),
        (
            "With the optimum five of seven counts are extracted",
            "section 4, figure 12(b)",
            extracts("optimum", least=5),
        ),
        (
            "The optimum extracts more counts than β = 0.01",
            "section 4, figure 12",
            higher("extracted", "optimum", "beta-0.01"),
        ),
        (
            "The optimum gives the best result",
            "section 4, figure 12(b)",
            higher("accuracy", "optimum"),
        ),
        ("The optimum does better than MNIST's", OURS, higher("accuracy", "optimum", "transfer")),
        ("The search ends before 100 evaluations", "section 4", stops_before(100)),
        *OF_EACH,
        ("The objective finds what separates the labels", "table 2", follows("objective")),
        ("ℓ1 alone finds what separates the labels", OURS, follows("l1")),
    ),
    Claim(
        (SEVEN, THREE),
        "The more complex the data, the more the optimum gains over β = 0.01",
        "section 4",
        gains_more("accuracy", "optimum", "beta-0.01"),
    ),
)
