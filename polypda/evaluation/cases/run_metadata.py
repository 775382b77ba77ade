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


class RunMetadata(BaseModel):
    """The facts of a run that its tables, figures and page repeat.

    source, target: cohort ids. method, source_only: names of models in the cases. selector: the rule that picked the
        checkpoint; selected_step: the step it picked, None where it does not apply.
    input_size: height and width that the network sees, px. split: the part of the cohorts that was scored.
    inference, batch_norm, supervision (where it was not masks alone): in words.
    accepted: outlines of target frames that reviewers accepted trained the adapted model, in words; "" where none did.
    statistics_control: the model to compare with where the adapted one has the target's statistics ("adabn").
    target_labels_used: target labels trained the run's oracle. target_labels_trained_on: they trained the adapted
        model itself (a semi-supervised term).
    duration_s: of training and choosing, since the run was last started or resumed.
    external: the predictions came as files: nothing is known of their training but what the user stated.
    leakage: what leaks between parts the user allowed, in words; None where leave was not given.
    set_aside: why the run hands out the source-only control in place of what it adapted, in words.
    curves: what the adaptation's training curves show, in words.
    notes: what else belongs beside the numbers (left-over or missing prediction files …).
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
    target_labels_trained_on: bool = False
    accepted: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    duration_s: float | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    external: bool = False
    supervision: str = ""
    leakage: tuple[str, ...] | None = None
    set_aside: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def leakage_text(self) -> str:
        """The stamp of a run whose held-out frames may depend on others; empty where no leave was given."""
        return joint_leakage([self])

    @property
    def seeds_text(self) -> str:
        """The seeds, and what a single one cannot tell."""
        if self.external:
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
        if self.external:
            return "not known: the predictions came as files"
        if self.method == "oracle":
            return f"the adapted model was trained on the labels of {self.target}: an upper bound, no adaptation"
        parts = []
        if self.selector == ORACLE:
            parts.append(
                f"LABELS OF {self.target} CHOSE THE CHECKPOINT (selector oracle): {self.method} is no unlabelled result"
            )
        if self.target_labels_trained_on:
            parts.append(f"LABELS OF {self.target} TAUGHT {self.method} (semi-supervised): it is no unlabelled result")
        if self.accepted:
            parts.append(f"{self.accepted_text}; none of its masks was used")
        if self.target_labels_used:
            parts.append(f"labels of {self.target} trained the oracle only (an upper bound)")
        return "; ".join(parts) or f"no label of {self.target} was used in training"

    @property
    def accepted_text(self) -> str:
        """What people accepted, and whom it taught."""
        return f"OUTLINES OF {self.target} THAT REVIEWERS ACCEPTED TAUGHT {self.method} ({self.accepted})"

    @property
    def resolution_text(self) -> str:
        """Where the frames were scored, and what the network saw of them."""
        if self.external:
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


def joint_leakage(metadata_of_runs: Iterable[RunMetadata]) -> str:
    """The stamp of a report of several runs; empty where no leave was given for any."""
    stamped = [run.leakage for run in metadata_of_runs if run.leakage is not None]
    texts = list(dict.fromkeys(text for leakage in stamped for text in leakage))
    return f"{LEAKAGE_ALLOWED}: {' '.join(texts) or 'none was found'}" if stamped else ""


def joint_lines(metadata_of_runs: Sequence[RunMetadata], models: Sequence[str], *, phantom: bool) -> dict[str, str]:
    """Name → text of everything that a table of several runs repeats, in reading order; what differs is listed.

    models: every model that was scored. phantom: some of the frames are rendered.
    """
    runs, single = metadata_of_runs, len(metadata_of_runs) == 1
    seeds = sorted({seed for run in runs if not run.external for seed in run.seeds})
    policies = _distinct(run.batch_norm for run in runs if run.batch_norm)
    trained_on = _distinct(f"{run.source} {run.supervision}" for run in runs if run.supervision)
    labels = _distinct(run.labels_text if single else labels_in_short(run) for run in runs)
    return {
        "protocol": PROTOCOL,
        "runs": f"{len({run.run for run in runs})}",
        "adaptations": _distinct(f"{run.source} → {run.target}" for run in runs if not run.external) or "none",
        "models": ", ".join(models),
        "checkpoint rule": _distinct(run.selector_text if single else run.selector for run in runs),
        "seeds": _seeds_text(seeds, external=any(run.external for run in runs)),
        "resolution": _distinct(run.resolution_text for run in runs),
        "threshold": _distinct(f"{run.threshold:g}" for run in runs),
        "split": _distinct(run.split for run in runs),
        **({"batch norm": policies} if policies else {}),
        **({"source labels": trained_on} if trained_on else {}),
        "target labels": labels,
        **({"leakage": leakage} if (leakage := joint_leakage(metadata_of_runs)) else {}),
        "frames": PHANTOM_BANNER if phantom else "real frames",
    }


def labels_in_short(run_metadata: RunMetadata) -> str:
    """Whether target labels were used, without naming the target."""
    if run_metadata.external:
        return run_metadata.labels_text
    if run_metadata.selector == ORACLE:
        return "LABELS OF THE TARGET CHOSE A CHECKPOINT (selector oracle): no unlabelled result"
    if run_metadata.target_labels_trained_on:
        return "LABELS OF THE TARGET TAUGHT AN ADAPTED MODEL (semi-supervised): no unlabelled result"
    if run_metadata.accepted:
        return "OUTLINES OF THE TARGET THAT REVIEWERS ACCEPTED TAUGHT AN ADAPTED MODEL; no mask of it was used"
    if run_metadata.method == ORACLE or run_metadata.target_labels_used:
        return "labels of the target trained the oracle only (an upper bound)"
    return "no label of the target was used in training"


def _seeds_text(seeds: list[int], *, external: bool) -> str:
    listed = ", ".join(str(seed) for seed in seeds)
    known = f"{len(seeds)} seeds ({listed})" if len(seeds) > 1 else f"seed {listed}; {ONE_SEED}" if seeds else ""
    return "; ".join(filter(None, [known, "not known of predictions made elsewhere" if external else ""]))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
