"""pyroVED without what its plots alone need: the one place that imports it.

For plotting helpers that this project never calls, pyroVED 0.3.0 imports torchvision, which does
not import at all where only a CPU build of torch is installed, and matplotlib.pyplot, a quarter of
a training's start-up. So while pyroVED is imported, and only then, stand-in modules answer for
those not imported already. They are taken away afterwards: other packages probe for them and must
find the truth.

Use `from zbo.trainer.pyroved import pyroved`.
"""

import importlib
import sys
from types import ModuleType


class _Later(ModuleType):
    """Stands in for a package, and imports it when something of it is used."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _make_grid(*_args, **_kwargs):
    raise NotImplementedError("pyroVED's plots need torchvision; use zbo.drawing.plots instead")


def _import_pyroved() -> ModuleType:
    vision, utils = ModuleType("torchvision"), ModuleType("torchvision.utils")
    plotting, pyplot = ModuleType("matplotlib"), _Later("matplotlib.pyplot")
    for module, name, value in (
        (vision, "utils", utils),
        (utils, "make_grid", _make_grid),
        (plotting, "pyplot", pyplot),
    ):
        setattr(module, name, value)
    absent: list[ModuleType] = []
    if not {"pyroved", "torchvision"} & sys.modules.keys():
        absent += [vision, utils]
    if not {"pyroved", "matplotlib"} & sys.modules.keys():
        absent += [plotting, pyplot]
    sys.modules |= {module.__name__: module for module in absent}
    try:
        return importlib.import_module("pyroved")
    finally:
        for module in absent:
            sys.modules.pop(module.__name__, None)


pyroved = _import_pyroved()
