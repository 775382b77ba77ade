"""polypda: adapt a polyp segmenter from one endoscopy centre to another, and show honestly whether it helped.

>>> import polypda
>>> sorted(polypda.__all__)[:4]
['Criterion', 'FrameMetric', 'LossTerm', 'Method']

Each name is imported when it is first used: ``import polypda`` alone costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polypda import metrics as metrics
    from polypda.api import Model as Model
    from polypda.api import Run as Run
    from polypda.api import adapt as adapt
    from polypda.api import evaluate as evaluate
    from polypda.api import load as load
    from polypda.api import open_cohort as open_cohort
    from polypda.api import report as report
    from polypda.api import resume as resume
    from polypda.errors import PolypdaError as PolypdaError
    from polypda.evaluation.scoring.frame_metric import FrameMetric as FrameMetric
    from polypda.evaluation.scoring.frame_metric import register_metric as register_metric
    from polypda.importing.contract import Reader as Reader
    from polypda.importing.registry import register_reader as register_reader
    from polypda.methods.contract import LossTerm as LossTerm
    from polypda.methods.contract import Method as Method
    from polypda.methods.contract import MethodOptions as MethodOptions
    from polypda.methods.contract import Player as Player
    from polypda.methods.registry import register_method as register_method
    from polypda.methods.target_terms import TargetTerm as TargetTerm
    from polypda.methods.target_terms import TargetView as TargetView
    from polypda.networks.registry import Network as Network
    from polypda.networks.registry import register_network as register_network
    from polypda.networks.segmenter import Segmenter as Segmenter
    from polypda.training.criteria import Criterion as Criterion
    from polypda.training.criteria import register_selector as register_selector

__version__ = "0.1.0"

_IN = {
    "polypda.api": ("Model", "Run", "adapt", "evaluate", "load", "open_cohort", "report", "resume"),
    "polypda.errors": ("PolypdaError",),
    "polypda.evaluation.scoring.frame_metric": ("FrameMetric", "register_metric"),
    "polypda.importing.contract": ("Reader",),
    "polypda.importing.registry": ("register_reader",),
    "polypda.methods.contract": ("LossTerm", "Method", "MethodOptions", "Player"),
    "polypda.methods.registry": ("register_method",),
    "polypda.methods.target_terms": ("TargetTerm", "TargetView"),
    "polypda.networks.registry": ("Network", "register_network"),
    "polypda.networks.segmenter": ("Segmenter",),
    "polypda.training.criteria": ("Criterion", "register_selector"),
}
_MODULE_OF = {name: module for module, names in _IN.items() for name in names}
__all__ = ["metrics", *_MODULE_OF]


if not TYPE_CHECKING:  # for a type checker there is what is imported above, and nothing else

    def __getattr__(name: str) -> Any:
        if name == "metrics":
            return import_module("polypda.metrics")
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'polypda' has no attribute '{name}'")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
