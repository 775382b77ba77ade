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
    external: bool = False
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
    stamped = [run_metadata for run_metadata in metadata_of_runs if run_metadata.leakage is not None]
    told = list(dict.fromkeys(text for run_metadata in stamped for text in run_metadata.leakage or ()))
    return f"{LEAKAGE_ALLOWED}: {' '.join(told) or 'none was found'}" if stamped else ""


def joint_lines(metadata_of_runs: Sequence[RunMetadata], models: Sequence[str], *, phantom: bool) -> dict[str, str]:
    """Name → text of everything that a table of several runs repeats, in reading order; what differs is listed.

    models: every model that was scored. phantom: some of the frames are rendered.
    """
    seeds = sorted(
        {seed for run_metadata in metadata_of_runs if not run_metadata.external for seed in run_metadata.seeds}
    )
    policies = _distinct(run_metadata.batch_norm for run_metadata in metadata_of_runs if run_metadata.batch_norm)
    trained_on = _distinct(f"{s.source} {s.supervision}" for s in metadata_of_runs if s.supervision)
    labels = _distinct(s.labels_text if len(metadata_of_runs) == 1 else labels_in_short(s) for s in metadata_of_runs)
    return {
        "protocol": PROTOCOL,
        "runs": f"{len({run_metadata.run for run_metadata in metadata_of_runs})}",
        "adaptations": _distinct(f"{s.source} → {s.target}" for s in metadata_of_runs if not s.external) or "none",
        "models": ", ".join(models),
        "checkpoint rule": _distinct(
            s.selector if len(metadata_of_runs) > 1 else s.selector_text for s in metadata_of_runs
        ),
        "seeds": _seeds_text(seeds, external=any(run_metadata.external for run_metadata in metadata_of_runs)),
        "resolution": _distinct(run_metadata.resolution_text for run_metadata in metadata_of_runs),
        "threshold": _distinct(f"{run_metadata.threshold:g}" for run_metadata in metadata_of_runs),
        "split": _distinct(run_metadata.split for run_metadata in metadata_of_runs),
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
    if run_metadata.target_labels_taught:
        return "LABELS OF THE TARGET TAUGHT AN ADAPTED MODEL (semi-supervised): no unlabelled result"
    if run_metadata.method == ORACLE or run_metadata.target_labels_used:
        return "labels of the target trained the oracle only (an upper bound)"
    return "no label of the target was used in training"


def _seeds_text(seeds: list[int], *, external: bool) -> str:
    listed = ", ".join(str(seed) for seed in seeds)
    known = f"{len(seeds)} seeds ({listed})" if len(seeds) > 1 else f"seed {listed}; {ONE_SEED}" if seeds else ""
    return "; ".join(filter(None, [known, "not known of predictions made elsewhere" if external else ""]))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
