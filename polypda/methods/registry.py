"""Every method by name. Adding one: its file and a line here, or an entry point of another package
(``polypda.methods``, see :mod:`polypda.plugins`). What help, presets and reports say of it stands on its class.

A name may be a sum: ``adaptsegnet+minent`` is AdaptSegNet with MinEnt's loss as a further term. A term alone stands for
``source-only+TERM``. Options of all parts are given flat; no two parts share a name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError

from polypda.errors import UsageError
from polypda.methods.adabn_tent import AdaBN, Tent
from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetFeature
from polypda.methods.adda import Adda
from polypda.methods.contract import Method, MethodOptions
from polypda.methods.fcan import FCAN
from polypda.methods.fcn_wild import FCNWild
from polypda.methods.fda import FDATerm
from polypda.methods.index import unknown, unknown_option
from polypda.methods.lsd import Lsd
from polypda.methods.mean_teacher import MaskedConsistencyTerm, MeanTeacherTerm, PolypMixTerm
from polypda.methods.minent import AdvEnt, MinEntTerm
from polypda.methods.segmentation import Oracle, SourceOnly
from polypda.methods.self_training import SelfTrainingTerm, TargetColoursTerm
from polypda.methods.size_priors import SizeConstraintTerm
from polypda.methods.target_terms import Combined, TargetTerm, combined
from polypda.options import with_present_names
from polypda.plugins import Registry, name_taken, plugins, register

_BUILT_IN_TERMS: tuple[type[TargetTerm], ...] = (
    MinEntTerm,
    FDATerm,
    MeanTeacherTerm,
    MaskedConsistencyTerm,
    PolypMixTerm,
    SizeConstraintTerm,
    TargetColoursTerm,
    SelfTrainingTerm,
)
_BUILT_IN_METHODS: tuple[type[Method], ...] = (
    SourceOnly,
    Oracle,
    AdaBN,
    Tent,
    AdaptSegNet,
    AdaptSegNetFeature,
    AdvEnt,
    Lsd,
    Adda,
    FCAN,
    FCNWild,
)


def _added_terms() -> dict[str, type[TargetTerm]]:
    return {kind.name: kind for kind in plugins("polypda.methods", Method, TargetTerm) if issubclass(kind, TargetTerm)}


def _added_methods() -> dict[str, type[Method]]:
    added = {kind.name: kind for kind in plugins("polypda.methods", Method, TargetTerm) if issubclass(kind, Method)}
    return added | {name: combined(name, SourceOnly, (term,)) for name, term in TERMS.items()}


TERMS: Registry[type[TargetTerm]] = Registry({term.name: term for term in _BUILT_IN_TERMS}, _added_terms)
"""What can be added to a method: ``METHOD+TERM``."""

METHODS: Registry[type[Method]] = Registry({method.name: method for method in _BUILT_IN_METHODS}, _added_methods)
"""Every method, and every term on top of source-only."""


Kind = TypeVar("Kind", bound=type[Method] | type[TargetTerm])


def register_method(kind: Kind) -> Kind:
    """Add a method, or a term for ``METHOD+TERM``, in this process: a decorator of a :class:`Method` or TargetTerm.

    What was registered under the name before is replaced. Trainings in processes of their own (``processes``,
    ``trainings_at_once`` and ``matrix --jobs`` above 1) know only what a package adds by an entry point.

    Raises: UsageError E_NAME_TAKEN, E_REGISTER.
    """
    if isinstance(kind, type) and issubclass(kind, TargetTerm):
        if kind.name in METHODS and kind.name not in TERMS:
            raise name_taken(kind.name)
        register(TERMS, kind, TargetTerm)
        METHODS.look_again()
    else:
        register(METHODS, kind, Method)
    method_class.cache_clear()
    return kind


def source_free_methods() -> list[str]:
    """Names of the methods that adapt from a source package, without a source frame."""
    return [name for name, method in METHODS.items() if method.source_free]


@lru_cache
def method_class(name: str) -> type[Method]:
    """The method of that name, or of that sum of names.

    Raises: UsageError E_METHOD_UNKNOWN, with the nearest name; E_METHOD_COMBINATION for a sum that means nothing.
    """
    first, *added = name.split("+")
    if first not in METHODS:
        raise unknown("method", first, METHODS)
    if not added:
        return METHODS[first]
    base = METHODS[first]
    terms: list[type[TargetTerm]] = [_term(term, first) for term in added]
    if not base.takes_terms:
        what = f"nothing can be added to '{first}': it does not train the segmenter on the source's labels."
        fix = "add terms to source-only or to one of the adaptation methods."
        raise UsageError("E_METHOD_COMBINATION", what, fix=fix)
    if issubclass(base, Combined):  # the sum begins with a term
        terms = [*base.term_kinds, *terms]
        base = base.base_kind
    doubled = next((term.name for term in terms if terms.count(term) > 1 or _has(base, term)), "")
    if doubled:
        raise UsageError("E_METHOD_COMBINATION", f"'{name}' has '{doubled}' twice.", fix="name each part once.")
    return combined(name, base, tuple(terms))


def _has(base: type[Method], term: type[TargetTerm]) -> bool:
    """Whether a method has a term's options already; one without options of its own tells nothing."""
    return term.Options is not MethodOptions and issubclass(base.Options, term.Options)


def parts_of(name: str) -> tuple[str, ...]:
    """What a sum grows from, part by part: of ``a+b+c`` first ``a``, then ``a+b``. Empty where there is no sum."""
    parts = name.split("+")
    return tuple("+".join(parts[:count]) for count in range(1, len(parts)))


def _term(name: str, first: str) -> type[TargetTerm]:
    if name in TERMS:
        return TERMS[name]
    if name in METHODS:
        what = f"'{name}' is a game of its own, which '{first}' cannot be given as a term."
        instead = "put it first and add terms to it" if METHODS[name].takes_terms else "use it alone"
        raise UsageError("E_METHOD_COMBINATION", what, fix=f"{instead}; terms are {', '.join(TERMS)}.")
    raise unknown("term", name, TERMS)


def _described(error: Any) -> str:
    """The option and its value, or all values where they contradict each other."""
    if error["loc"]:
        return f"{error['loc'][0]}={error['input']!r}"
    return ", ".join(f"{name}={value!r}" for name, value in error["input"].items())


def plain_options(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The same options, each as a plain value of its type: ``"0.5"`` of a command line or an older record becomes 0.5.

    What does not fit is left as it is, for :func:`method_options` to refuse.
    """
    options = method_class(name).Options
    known = {key: value for key, value in values.items() if key in options.model_fields}
    try:
        typed = options(**known).model_dump(mode="json", include=set(known))
    except ValidationError:
        return values
    return {**values, **typed}


def method_options(name: str, values: dict[str, Any]) -> MethodOptions:
    """Validated options. Raises: UsageError E_METHOD_OPTION for unknown names (nearest offered) and bad values."""
    options, values = method_class(name).Options, with_present_names(values)
    for key in values:
        if key not in options.model_fields:
            raise unknown_option(name, key, options.model_fields)
    try:
        return options(**values)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"'{name}' cannot take {_described(first)}: {first['msg']}."
        fix = f"`polypda methods {name}` lists the options with their ranges."
        raise UsageError("E_METHOD_OPTION", what, fix=fix) from error
