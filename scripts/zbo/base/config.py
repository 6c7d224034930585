"""One study's settings: its file, changes from the command line, defaults and checks."""

import copy
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from zbo.base import channels
from zbo.base.errors import InputError

ROOT = Path(__file__).resolve().parents[3] / "config"  # what comes with zBO
OWN = Path("config")  # a person's own, in the working folder
REDUCED = "-reduced"  # ending of the name of a study at its reduced scale

# The paper's three problems: its figures and claims are about them.
PAPER_STUDIES = ("mnist", "nanoparticles-3", "nanoparticles-7")

ABOUT_CLASSES = ("l1", "l1-l2", "information")  # objectives that need two or more


def files(root: Path | None = None) -> dict[str, Path]:
    """List the files of studies, by name: those of the working folder's config/ and zBO's own.

    Of two with the same name the working folder's is taken; `covered` lists them.

    Args:
        root: A config folder to look in alone.
    """
    found = {}
    for folder in [root] if root else [ROOT, OWN]:
        found |= {path.stem: path for path in sorted((folder / "studies").glob("*.yaml"))}
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
        Every key of config/schema.yaml, nested as there.

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
    return check(settings, source=f"{path}{' (reduced)' * reduced}", root=root or ROOT)


def check(settings: dict[str, Any], source: str, root: Path = ROOT) -> dict[str, Any]:
    """Check settings against the schema and fill in its defaults.

    Args:
        settings: Keys and values as a study file holds them.
        source: Where they come from, named in errors.
        root: The config folder.

    Returns:
        A new, complete dictionary.

    Raises:
        InputError: At the first key that is unknown, missing, ill-typed or inconsistent.
    """
    schema = _schema(root)
    settings = _whole(copy.deepcopy(settings))
    _fill(settings, schema)
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(settings), key=lambda e: list(e.path)
    )
    if errors:
        raise InputError(f"{source}: {_explain(errors[0])}")
    if key := _not_finite(settings):
        raise InputError(f"{source}: {key}: has to be a finite number")
    beta_d = settings["trajectories"]["beta_d"]
    searched = channels.each(channels.bounds(settings["trajectories"]))
    for key, (low, high) in zip(("bounds", "beta_d"), searched, strict=False):
        if low >= high:
            raise InputError(
                f"{source}: trajectories.{key}: [{low:g}, {high:g}] are the wrong way round or "
                "equal; give the smaller first"
            )
    if channels.has_bounds(beta_d) and settings["model"]["classes"] < 2:
        raise InputError(
            f"{source}: trajectories.beta_d: {settings['model']['classes']} classes have no "
            "discrete KL term to search for; give a number"
        )
    if settings["objective"]["window"] % 2 == 0:
        raise InputError(f"{source}: objective.window: {settings['objective']['window']} is even")
    if settings["model"]["classes"] < 2 and settings["objective"]["name"] in ABOUT_CLASSES:
        raise InputError(
            f"{source}: objective.name: '{settings['objective']['name']}' is about classes and "
            f"model.classes is {settings['model']['classes']}: there are none to tell apart; set "
            "objective.name to elbo or to your own as module:function, or model.classes to 2 or "
            "more"
        )
    if "transfer" in settings["compare"]["models"] and settings["compare"]["transfer"] is None:
        raise InputError(
            f"{source}: compare.transfer: name the study whose optimum model transfer follows"
        )
    return settings


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


@cache
def _schema(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "schema.yaml").read_text())


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
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _not_finite(value: Any, path: str = "") -> str:
    """Name the first number that is NaN or infinite, or ""."""
    if isinstance(value, dict):
        parts = [_not_finite(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [_not_finite(item, path) for item in value]
    else:
        return path if isinstance(value, float) and not math.isfinite(value) else ""
    return next(filter(None, parts), "")


def _fill(settings: Any, schema: dict[str, Any]) -> None:
    # A default of a key whose section is absent counts too, so sections are made first.
    for name, part in schema.get("properties", {}).items():
        if "properties" in part:
            if isinstance(settings.setdefault(name, {}), dict):
                _fill(settings[name], part)
        elif "default" in part:
            settings.setdefault(name, copy.deepcopy(part["default"]))


def _explain(error: jsonschema.ValidationError) -> str:
    key = ".".join(str(part) for part in error.path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = sorted(map(str, set(error.instance) - set(known)))[0]
        at = f"{key}.{unknown}" if key else unknown
        close = _closest(unknown, known)
        return f"{at}: no such key; {close} (config/schema.yaml lists all)"
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))[0]
        at = f"{key}.{missing}" if key else missing
        meaning = error.schema["properties"][missing].get("description", "")
        return f"{at}: has to be given: {meaning}"
    hint = ""
    if error.validator == "type" and isinstance(error.instance, str):
        try:
            float(error.instance)
            hint = "; YAML reads this as text, write the number as 0.001 or 1.0e-3"
        except ValueError:
            pass
    meaning = error.schema.get("description", "")
    return f"{key}: {error.message}{hint}." + (f" {meaning}" if meaning else "")


def _closest(word: str, known: dict[str, Any]) -> str:
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else f"known here: {', '.join(sorted(known))}"
