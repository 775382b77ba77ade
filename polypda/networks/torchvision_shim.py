"""Import torchvision even where its compiled part was built for another torch.

A CPU build of torch beside a CUDA build of torchvision cannot load torchvision's compiled operators; its Python part
then fails at import, because it registers shape functions for two operators nobody declared. Declaring both is enough:
segmentation encoders use torchvision's Python layers only, never its compiled operators.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_UNDECLARED = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declarations: list[object] = []  # a torch Library undeclares its operators when it is collected


def import_torchvision() -> ModuleType:
    """Import torchvision; call this before segmentation_models_pytorch or timm are imported.

    A matching pair imports as it is: nothing is declared for it. Calling again costs nothing.

    Raises RuntimeError as torchvision does, when the failure is another one than the undeclared operators.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    _declare_missing_operators()
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


def _declare_missing_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _UNDECLARED.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _declarations.append(library)
