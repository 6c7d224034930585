"""The models that a study may compare, in one table: settings, rules, trainings and labels read it.

To add one: an entry here, and where it follows a trajectory a rule that makes that file.
"""

import re
from dataclasses import dataclass, replace

from zbo.base.errors import InputError


@dataclass(frozen=True)
class Compared:
    """A model that is trained on all images.

    Attributes:
        label: What figures and tables call it.
        classes: Whether it has the study's classes and invariances; without it is a plain VAE.
        count: K, where its name says it; else it is the study's.
        default: Whether it has pyroVED's default networks and rate, whatever the study has.
        follows: File of the study that holds its trajectory; None if its β_c is a constant.
        beta_c: That constant.
        scaled: Whether the constant is meant at `compare.unit_pixels` pixels.
    """

    label: str
    classes: bool = True
    count: int | None = None
    default: bool = False
    follows: str | None = None
    beta_c: float = 1.0
    scaled: bool = False


NAMED = {
    "vanilla": Compared("vanilla VAE", classes=False, default=True),
    "vae": Compared("VAE, study's settings", classes=False, scaled=True),
    "constant": Compared("jrVAE, best constant β_c", follows="best_constant.h5"),
    "warmup": Compared("jrVAE, best warm-up", follows="best_warmup.h5"),
    "cyclical": Compared("jrVAE, best cyclical β_c", follows="best_cyclical.h5"),
    "cooldown": Compared("jrVAE, best plain cooldown", follows="best_cooldown.h5"),
    "optimum": Compared("jrVAE, zBO optimum", follows="optimum.h5"),
    "transfer": Compared("jrVAE, transferred optimum", follows="transfer.h5"),
}
# Those that follow the best of a few forms (`zbo.trajectories.schedules`), made by hand.
SCHEDULES = ("constant", "warmup", "cyclical", "cooldown")
STATED = r"beta-[0-9]+(?:[.][0-9]+)?"  # jrVAEs whose name says their β_c
COUNTED = r"optimum-k[2-9]|optimum-k[1-9][0-9]+"  # whose name says how many classes it has
PATTERN = "|".join([COUNTED, *NAMED, STATED])


def named(name: str) -> Compared:
    """Find what a model is by its name in `compare.models`.

    Raises:
        InputError: If there is no such model.
    """
    if name in NAMED:
        return NAMED[name]
    if re.fullmatch(STATED, name):
        number = name.removeprefix("beta-")
        return Compared(f"jrVAE, β_c = {number}", beta_c=float(number), scaled=True)
    if re.fullmatch(COUNTED, name):
        count = int(name.removeprefix("optimum-k"))
        return replace(NAMED["optimum"], label=f"jrVAE, zBO optimum, K = {count}", count=count)
    known = ", ".join([*NAMED, "optimum-kNUMBER", "beta-NUMBER"])
    raise InputError(f"model {name}: there is none; choose from {known} (compare.models)")
