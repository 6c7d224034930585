"""A person's own functions, named in a study by import path, and what their files hold."""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from zbo.base.errors import InputError


def by_path(path: str, key: str) -> Callable:
    """Import a person's own function.

    Args:
        path: "module:function"; the working folder is searched too.
        key: The config key that names it, for errors.

    Returns:
        The function.

    Raises:
        InputError: If the module or the function cannot be found.
    """
    module, _, name = path.partition(":")
    if "" not in sys.path:
        sys.path.append("")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"{key}: '{path}': {error}; give module:function importable from here"
        ) from error


def source_digest(path: str) -> str:
    """Digest the file of a person's own function, and those it imports, without importing it.

    Args:
        path: "module:function".

    Returns:
        SHA-256 of the module's file and of the modules beside it, or below, that it imports, and so
        on; "" where it is not a single file or cannot be found.
    """
    if "" not in sys.path:
        sys.path.append("")
    try:
        found = importlib.util.find_spec(path.partition(":")[0])
    except (ImportError, ValueError):
        return ""
    if found is None or not found.origin or not Path(found.origin).is_file():
        return ""
    read: dict[Path, bytes] = {}
    _read_with_imports(Path(found.origin), read)
    return hashlib.sha256(b"\0".join(read[file] for file in sorted(read))).hexdigest()


def _read_with_imports(file: Path, read: dict[Path, bytes]) -> None:
    if file in read or not file.is_file():
        return
    read[file] = file.read_bytes()
    try:
        tree = ast.parse(read[file])
    except SyntaxError:  # said where it is imported
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{each.name}".strip(".") for each in node.names)]
        else:
            continue
        for name in filter(None, names):
            place = file.parent / name.replace(".", "/")
            _read_with_imports(place.with_suffix(".py"), read)
            _read_with_imports(place / "__init__.py", read)
