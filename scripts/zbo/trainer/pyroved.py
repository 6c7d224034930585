"""pyroVED without torchvision: the one place that imports it.

pyroVED 0.3.0 imports `torchvision.utils.make_grid` for a plotting helper this project never calls,
and where only a CPU build of torch is installed the torchvision wheel does not import at all. So
while pyroVED is imported, and only then, two stand-in modules answer for torchvision. They are
taken away afterwards: other packages probe for torchvision and must find the truth.

Use `from zbo.trainer.pyroved import pyroved`.
"""

import importlib
import sys
from types import ModuleType


def _make_grid(*_args, **_kwargs):
    raise NotImplementedError("pyroVED's plots need torchvision; use zbo.drawing.plots instead")


def _import_pyroved() -> ModuleType:
    if "torchvision" in sys.modules or "pyroved" in sys.modules:
        return importlib.import_module("pyroved")
    package, utils = ModuleType("torchvision"), ModuleType("torchvision.utils")
    package.utils, utils.make_grid = utils, _make_grid
    sys.modules |= {"torchvision": package, "torchvision.utils": utils}
    try:
        return importlib.import_module("pyroved")
    finally:
        for name in ("torchvision", "torchvision.utils"):
            sys.modules.pop(name, None)


pyroved = _import_pyroved()
