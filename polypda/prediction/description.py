"""A model's facts in words, for people."""

from __future__ import annotations

from polypda.prediction.facts import LearntCohort, ModelFacts

UNSTATED = "no licence stated"


def described(facts: ModelFacts) -> list[tuple[str, str]]:
    """(what, what is said of it), in the order of interest."""
    network, shown, training = facts.network, facts.input, facts.training
    lines = [
        ("Model", f"{training.model}: {facts.task}"),
        ("Use", facts.intended_use),
    ]
    if training.set_aside:
        lines.append(("Set aside", f"this is the source-only control: {'; '.join(training.set_aside)}"))
    lines += [
        ("Learnt from", "; ".join(map(_cohort_words, training.cohorts))),
        ("Labels", training.labels),
        ("Network", f"{network.architecture} on {network.encoder}, {facts.dtype}"),
        ("Encoder from", _encoder_words(facts)),
        ("Input", _input_words(facts)),
        ("Normalisation", _normalisation_words(facts)),
        ("Inference", facts.inference.words),
        ("Threshold", f"{facts.threshold:g} ({' / '.join(facts.classes)})"),
        ("Settings", ", ".join(f"{name} {value}" for name, value in training.settings.items() if value != {})),
        ("Made with", ", ".join(f"{name} {version}" for name, version in facts.versions.items())),
        ("Weights", f"sha256 {facts.tensors_sha256 or 'not recorded'}"),
    ]
    if shown.stride > 1:
        lines.insert(-3, ("Sizes", f"sides of an input must be divisible by {shown.stride}"))
    return lines


def _cohort_words(one: LearntCohort) -> str:
    kind = "rendered frames, no patient's" if one.rendered else one.licence or UNSTATED
    return f"{one.cohort} ({one.role}, {one.frames} training frames; {kind})"


def _encoder_words(facts: ModelFacts) -> str:
    origin = facts.encoder_weights
    licence = f"; licence {origin.licence}" if origin.licence and origin.licence not in origin.source else ""
    return f"{origin.source}{licence}"


def _input_words(facts: ModelFacts) -> str:
    shown = facts.input
    crop = f"the field of view ({shown.field_of_view_rule['name']})" if shown.crop_to_field_of_view else "whole frame"
    fit = "resized" if shown.fit == "resize" else "letterboxed"
    return f"{shown.colours}; {crop}, {fit} to {shown.size}×{shown.size} px"


def _normalisation_words(facts: ModelFacts) -> str:
    own = facts.input.normalisation
    if own is None:
        return "inside the network"
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (own.mean, own.std))
    scale = f"{own.scale:g} · " if own.scale != 1 else ""
    return f"inside the network: ({scale}x − [{mean}]) / [{std}]{', in BGR order' if own.bgr else ''}"
