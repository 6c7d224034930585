"""One study's settings: its file, changes from the command line, defaults and checks."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from zbo.base.errors import InputError
from zbo.base.settings import Study

ROOT = Path(__file__).resolve().parents[3] / "config"  # what comes with zBO
OWN = Path("config")  # a person's own, in the working folder
log = logging.getLogger(__name__)

REDUCED = "-reduced"  # ending of the name of a study at its reduced scale

# The paper's three problems: its figures and claims are about them.
PAPER_STUDIES = ("mnist", "nanoparticles-3", "nanoparticles-7")


def files(root: Path | None = None) -> dict[str, Path]:
    """List the files of studies, by name: those of the working folder's config/ and zBO's own.

    Of two with the same name the working folder's is taken; `covered` lists them.

    Args:
        root: A config folder to look in alone.
    """
    found: dict[str, Path] = {}
    for folder in [root] if root else [ROOT, OWN]:
        found |= {
            path.stem: path for path in sorted((folder / "studies").glob("*.y*ml"))
        }  # .yaml or .yml
    return found


def covered() -> list[str]:
    """List zBO's own studies in whose place the working folder has another one."""
    own = files(OWN)
    return [
        name
        for name, path in files(ROOT).items()
        if name in own and own[name].read_bytes() != path.read_bytes()
    ]


def known(root: Path | None = None) -> list[str]:
    """List the studies there are, also at the reduced scale where a file has one."""
    there = files(root)
    # A line that begins with the key: cheaper than reading YAML, which `load` does.
    scaled = [
        name
        for name, path in there.items()
        if re.search(r"^reduced\s*:", path.read_text(errors="replace"), re.M)
    ]
    return sorted([*there, *(name + REDUCED for name in scaled)])


# What a study of a person's own images need not say: measured grey images are no coin tosses, and
# with sigma learned both terms of the loss are nats, so that the bounds hold for any of them. That
# factors are searched for, too, costs the classes nothing. Numbers: scripts/zbo/trainer/README.md.
OF_FILES: dict[str, dict[str, Any]] = {
    "images": {"normalize": "image"},
    "trajectories": {
        "cycles": 60,
        "bounds": [0.3, 3],
        "beta_d": 1,
        "families": ["late_cooldown", "warmup", "constant"],
        "per_family": 1000,
    },
    "trajectory_vae": {"scale": "log", "learning_rate": 0.001, "cycles": 200},
    "model": {"hidden_dim": [64, 64], "decoder": "gaussian", "decoder_sigma": "learned"},
    "training": {
        "learning_rate": 0.003,
        "batch_size": 20,
        "prune_threshold": 0.001,
        "center": True,
        "start": "mixture",
        "angle_weight": 0.1,
    },
    "objective": {"name": ["information", "factors"]},
    "search": {"initial": 10, "iterations": 20, "batch_size": 2},
}


def studies(config: dict[str, Any], root: Path | None = None) -> list[str]:
    """List the studies to run (`studies` and `scale` of config.yaml; one name or several).

    Raises:
        InputError: If a name has no file or there is no such scale.
    """
    names = config.get("studies", [])
    names = names.split() if isinstance(names, str) else names
    if not isinstance(names, list) or not names:
        raise InputError(f"studies: {names!r} names no study; for example studies=digits")
    there = known(root)
    for name in names:
        if name not in there:
            raise InputError(f"studies: there is no study '{name}'; choose from {', '.join(there)}")
    return list(dict.fromkeys(at_scale(name, config.get("scale", "paper"), root) for name in names))


def at_scale(name: str, scale: str, root: Path | None = None) -> str:
    """Name a study at a scale: "reduced" takes the reduced one where its file has one.

    Raises:
        InputError: If there is no such scale.
    """
    if scale not in ("paper", "reduced"):
        raise InputError(f"scale: '{scale}' is no scale; choose paper or reduced")
    return name + REDUCED if scale == "reduced" and name + REDUCED in known(root) else name


def load(name: str, changes: str = "", root: Path | None = None) -> dict[str, Any]:
    """Read one study: its file, changed, filled with defaults, and checked.

    Args:
        name: The study, a file in config/studies/ of the working folder or of zBO; with "-reduced"
            behind it, the keys of the file's section `reduced` take the place of the others.
        changes: Values changed for this run, "search.iterations=40 seed=1".
        root: A config folder to look in alone.

    Returns:
        Every key of `zbo.base.settings.Study`, nested as there.

    Raises:
        InputError: If the file is missing or a key is unknown, ill-typed or inconsistent.
    """
    there = files(root)
    reduced = name not in there and name.endswith(REDUCED)
    stem = name.removesuffix(REDUCED) if reduced else name
    if stem not in there:
        places = " or ".join(
            str(folder / "studies") for folder in ([root] if root else [OWN, ROOT])
        )
        raise InputError(f"{stem}.yaml: there is no such study in {places}")
    path = there[stem]
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8; save it so") from error
    settings = _parse(text, str(path)) or {}
    if not isinstance(settings, dict):
        raise InputError(f"{path}: expected keys and values, found {type(settings).__name__}")
    differences = settings.pop("reduced", None)
    if reduced:
        if not isinstance(differences, dict):
            raise InputError(f"{path}: reduced: has to hold the keys that differ at this scale")
        settings = _laid_over(settings, differences)
    # A space splits changes only before the next key, so that lists may hold spaces.
    for change in re.split(r"\s+(?=[\w.-]+=)", changes.strip()):
        if change:
            _change(settings, change)
    return check(settings, source=f"{path}{' (reduced)' * reduced}")


def check(settings: dict[str, Any], source: str) -> dict[str, Any]:
    """Check settings and fill in defaults, both as zbo.base.settings has them.

    A study of one's own images (source: files) has defaults of its own, `OF_FILES`.

    Args:
        settings: Keys and values as a study file holds them.
        source: Where they come from, named in errors.

    Returns:
        A new, complete dictionary.

    Raises:
        InputError: At the first key that is unknown, missing, ill-typed or inconsistent.
    """
    images = settings.get("images")
    if isinstance(images, dict) and images.get("source") == "files":
        defaults, model = OF_FILES, settings.get("model")
        invariances = model.get("invariances") if isinstance(model, dict) else None
        if isinstance(invariances, list) and not {"r", "t"} & set(map(str, invariances)):
            # None is turned or shifted.
            defaults = _laid_over(OF_FILES, {"training": {"start": "pixels"}})
        unsaid = [
            f"{section}.{key}={value}"
            for section, keys in defaults.items()
            for key, value in keys.items()
            if isinstance(settings.get(section, {}), dict) and key not in settings.get(section, {})
        ]
        log.info("%s: your own images, so by default %s", source, ", ".join(unsaid))
        settings = _laid_over(defaults, settings)
    try:
        study = Study(**_whole(settings))
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    complete = _whole(study.model_dump(mode="json"))
    images = complete["images"]
    # Here alone: a job's home, as in the image, may be another.
    for section, key in ((images, "path"), (images, "labels"), (images["patches"], "coordinates")):
        if section and section[key]:
            section[key] = os.path.expanduser(section[key])
    return complete


def pick(settings: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Pick sections ("model") and single values ("search.replicates") out of a study's settings.

    What a stage is given is all it depends on: a change elsewhere does not run it again.
    """
    picked: dict[str, Any] = {}
    for key in keys:
        section, _, name = key.partition(".")
        if name:
            picked.setdefault(section, {})[name] = settings[section][name]
        else:
            picked[section] = settings[section]
    return picked


def _laid_over(settings: Any, differences: Any) -> Any:
    """Replace values section by section; a list is one value."""
    if not (isinstance(settings, dict) and isinstance(differences, dict)):
        return differences
    both = {key: _laid_over(settings.get(key, {}), value) for key, value in differences.items()}
    return settings | both


def _change(settings: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals:
        raise InputError(f"set: '{change}' is not key=value; for example search.iterations=40")
    *parents, leaf = key.split(".")
    place = settings
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise InputError(f"set: '{key}': {parent} is a value, not a section")
    place[leaf] = _parse(text, f"set: {key}")


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where the plain loader takes the last in silence."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"'{key.value}' is given twice{key.start_mark}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader: plain data, nothing is run
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}") from error


def _whole(value: Any) -> Any:
    """Make whole numbers written as 3.0 integers, so that code may count on the type."""
    if isinstance(value, dict):
        return {str(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
