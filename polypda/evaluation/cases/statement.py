"""What must stand beside every number: under which protocol, for which run, chosen how, seen at which resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD, PROTOCOL

SOURCE_ONLY = "source-only"
ORACLE = "oracle"
"""The upper bound: trained on the target's labels."""
PHANTOM_BANNER = "Rendered phantom frames: not clinical evidence"
LEAKAGE_ALLOWED = "LEAKAGE ALLOWED"
ONE_SEED = "training variability not assessed"


class ReportStatement(BaseModel):
    """The facts of a run that its tables, figures and page repeat.

    source, target: cohort ids. method: the adapted model's name in the cases; source_only: the one it starts from.
    selector: the rule that picked the checkpoint; selected_step: the step it picked, None where it does not apply.
    input_size: height and width that the network sees, px. inference: how every model was asked for a frame, in words.
    split: the part of the cohorts that was scored.
    target_labels_used: True when target labels trained the run's oracle. target_labels_taught: True when they taught
        the adapted model itself (a semi-supervised term).
    batch_norm: under which policy the models were trained, with whose statistics the adapted one is used.
    statistics_control: the model to compare with where the adapted one has the target's statistics ("adabn").
    settings: the resolved settings, plain values. versions: package → version.
    duration_s: of training and choosing, since the run was last started or resumed.
    foreign: the predictions were made elsewhere and came as files: nothing is known of their training but what the
        user stated, so seeds, checkpoint rule and network size say so.
    supervision: what taught the models where it was not masks alone ("trained on boxes (…)").
    leakage: what leaks between parts the user allowed, in words; None where leave was not given.
    set_aside: why the run hands out the source-only control in place of what it adapted, in words; empty where it does
        not.
    notes: what else must be told wherever the numbers are shown (left-over or missing prediction files …).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    source: str
    target: str
    method: str
    source_only: str = SOURCE_ONLY
    selector: str
    selected_step: int | None = None
    seeds: tuple[int, ...] = Field(min_length=1)
    threshold: float = DEFAULT_THRESHOLD
    input_size: tuple[int, int]
    inference: str = "one scale"
    split: str = "test"
    batch_norm: str = ""
    statistics_control: str | None = None
    phantom: bool
    target_labels_used: bool = False
    target_labels_taught: bool = False
    settings: dict[str, Any] = Field(default_factory=dict)
    duration_s: float | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    foreign: bool = False
    supervision: str = ""
    leakage: tuple[str, ...] | None = None
    set_aside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def leakage_text(self) -> str:
        """The stamp of a run whose held-out frames may depend on others; empty where no leave was given."""
        return "" if self.leakage is None else f"{LEAKAGE_ALLOWED}: {' '.join(self.leakage) or 'none was found'}"

    @property
    def seeds_text(self) -> str:
        """The seeds, and what a single one cannot tell."""
        if self.foreign:
            return f"not known; {ONE_SEED}"
        listed = ", ".join(str(seed) for seed in self.seeds)
        return f"seed {listed}; {ONE_SEED}" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds ({listed})"

    @property
    def selector_text(self) -> str:
        """The checkpoint rule and its choice."""
        return self.selector if self.selected_step is None else f"{self.selector} (step {self.selected_step})"

    @property
    def labels_text(self) -> str:
        """Whether target labels were used, and by whom."""
        if self.foreign:
            return "not known: the predictions came as files"
        if self.method == "oracle":
            return f"the adapted model was trained on the labels of {self.target}: an upper bound, no adaptation"
        told = []
        if self.selector == ORACLE:
            told.append(
                f"LABELS OF {self.target} CHOSE THE CHECKPOINT (selector oracle): {self.method} is no unlabelled result"
            )
        if self.target_labels_taught:
            told.append(f"LABELS OF {self.target} TAUGHT {self.method} (semi-supervised): it is no unlabelled result")
        if self.target_labels_used:
            told.append(f"labels of {self.target} trained the oracle only (an upper bound)")
        return "; ".join(told) or f"no label of {self.target} was used in training"

    @property
    def resolution_text(self) -> str:
        """Where the frames were scored, and what the network saw of them."""
        if self.foreign:
            return "native (maps as they came)"
        return f"native (the network sees {self.input_size[1]}×{self.input_size[0]} px; {self.inference})"

    def lines(self) -> dict[str, str]:
        """Name → text of everything a table repeats, in reading order."""
        return {
            "protocol": PROTOCOL,
            "run": self.run,
            "adaptation": f"{self.source} → {self.target} by {self.method}",
            "checkpoint rule": self.selector_text,
            "seeds": self.seeds_text,
            "resolution": self.resolution_text,
            "threshold": f"{self.threshold:g}",
            "split": self.split,
            **({"batch norm": self.batch_norm} if self.batch_norm else {}),
            **({"source labels": self.supervision} if self.supervision else {}),
            "target labels": self.labels_text,
            **({"leakage": self.leakage_text} if self.leakage is not None else {}),
            "frames": PHANTOM_BANNER if self.phantom else "real frames",
        }


def joint_leakage(statements: Iterable[ReportStatement]) -> str:
    """The stamp of a report of several runs; empty where no leave was given for any."""
    stamped = [statement for statement in statements if statement.leakage is not None]
    told = list(dict.fromkeys(text for statement in stamped for text in statement.leakage or ()))
    return f"{LEAKAGE_ALLOWED}: {' '.join(told) or 'none was found'}" if stamped else ""


def joint_lines(statements: Sequence[ReportStatement], models: Sequence[str], *, phantom: bool) -> dict[str, str]:
    """Name → text of everything that a table of several runs repeats, in reading order; what differs is listed.

    models: every model that was scored. phantom: some of the frames are rendered.
    """
    seeds = sorted({seed for statement in statements if not statement.foreign for seed in statement.seeds})
    policies = _distinct(statement.batch_norm for statement in statements if statement.batch_norm)
    taught = _distinct(f"{s.source} {s.supervision}" for s in statements if s.supervision)
    labels = _distinct(s.labels_text if len(statements) == 1 else labels_in_short(s) for s in statements)
    return {
        "protocol": PROTOCOL,
        "runs": f"{len({statement.run for statement in statements})}",
        "adaptations": _distinct(f"{s.source} → {s.target}" for s in statements if not s.foreign) or "none",
        "models": ", ".join(models),
        "checkpoint rule": _distinct(s.selector if len(statements) > 1 else s.selector_text for s in statements),
        "seeds": _seeds_text(seeds, foreign=any(statement.foreign for statement in statements)),
        "resolution": _distinct(statement.resolution_text for statement in statements),
        "threshold": _distinct(f"{statement.threshold:g}" for statement in statements),
        "split": _distinct(statement.split for statement in statements),
        **({"batch norm": policies} if policies else {}),
        **({"source labels": taught} if taught else {}),
        "target labels": labels,
        **({"leakage": leakage} if (leakage := joint_leakage(statements)) else {}),
        "frames": PHANTOM_BANNER if phantom else "real frames",
    }


def labels_in_short(statement: ReportStatement) -> str:
    """Whether target labels were used, without naming the target."""
    if statement.foreign:
        return statement.labels_text
    if statement.selector == ORACLE:
        return "LABELS OF THE TARGET CHOSE A CHECKPOINT (selector oracle): no unlabelled result"
    if statement.target_labels_taught:
        return "LABELS OF THE TARGET TAUGHT AN ADAPTED MODEL (semi-supervised): no unlabelled result"
    if statement.method == ORACLE or statement.target_labels_used:
        return "labels of the target trained the oracle only (an upper bound)"
    return "no label of the target was used in training"


def _seeds_text(seeds: list[int], *, foreign: bool) -> str:
    listed = ", ".join(str(seed) for seed in seeds)
    known = f"{len(seeds)} seeds ({listed})" if len(seeds) > 1 else f"seed {listed}; {ONE_SEED}" if seeds else ""
    return "; ".join(filter(None, [known, "not known of predictions made elsewhere" if foreign else ""]))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
