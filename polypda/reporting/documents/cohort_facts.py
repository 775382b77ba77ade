"""What is known of each scored cohort: from its manifest, from the scored frames, from the study file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from polypda.cohorts.catalogue import load_catalogue
from polypda.cohorts.manifest import FactStatus, Manifest
from polypda.cohorts.sub_cohorts import CohortName, whole_cohort
from polypda.evaluation.aggregation.aggregates import NO_STRATUM, SIZE_STRATA, size_stratum
from polypda.reporting.documents.study import CohortStudy, Study
from polypda.reporting.documents.templates import code, inline, shortened
from polypda.reporting.wording import counted

NOT_IN_CATALOGUE = "not in the catalogue"
MOST_SIZES = 3


@dataclass(frozen=True)
class CohortFacts:
    """A scored cohort.

    manifest: None for a cohort that no catalogue entry describes. annotations: "mask", "box" as found in the cases.
    roles: "source" and/or "target" in the runs. unit: patient, sequence, mixed or unknown (see Clusters).
    Counts are of distinct frames, whatever number of models scored them; unscored: neither positive nor negative.
    ungrouped: frames of which neither patient nor sequence is known. sizes: (width, height) in px → frames.
    strata: relative polyp area → frames, {} where areas are unknown.
    missing_predictions: of trainings × frames, scored as empty on request.
    """

    id: str
    manifest: Manifest | None
    study: CohortStudy
    phantom: bool
    annotations: tuple[str, ...]
    splits: tuple[str, ...]
    roles: tuple[str, ...]
    frames: int
    positive: int
    negative: int
    unscored: int
    patients: int
    sequences: int
    ungrouped: int
    unit: str
    sizes: dict[tuple[int, int], int]
    strata: dict[str, int]
    missing_predictions: int

    @property
    def title(self) -> str:
        """The cohort's name, with its own-language form where it has one."""
        if self.manifest is None:
            return NOT_IN_CATALOGUE
        title, mode = self.manifest.title, CohortName.parse(self.id).mode
        name = f"{title.en} ({title.local})" if title.local else title.en
        return inline(name if mode is None else f"{name}, imaging mode {mode.upper()} only")

    @property
    def location(self) -> str | None:
        """Centre, city and country; None where nothing is known."""
        if self.manifest is None:
            return None
        known = (self.manifest.centre, self.manifest.city, self.manifest.country)
        return inline(", ".join(part for part in known if part)) or None

    @property
    def scope(self) -> str | None:
        """Vendor, processor, endoscope and modes, as far as the manifest tells them."""
        if self.manifest is None:
            return None
        scope = self.manifest.scope
        modes = f"modes {', '.join(scope.modes)}" if scope.modes else None
        known = (scope.vendor, scope.processor, scope.endoscope, modes)
        return inline(", ".join(part for part in known if part)) or None

    @property
    def sizes_text(self) -> str:
        """Sizes of the scored frames, the most frequent first."""
        ordered = sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))
        texts = [f"{width}×{height} px" for (width, height), _ in ordered]
        return shortened(texts, MOST_SIZES) if len(texts) <= MOST_SIZES + 1 else _range_of(self.sizes)

    @property
    def count_text(self) -> str:
        """How many frames were scored, of whom, with how many polyps."""
        if self.ungrouped == self.frames:
            return f"{counted(self.frames, 'frame')} (patients and sequences unknown): {self._polyp_text}"
        owners = [counted(self.patients, "patient")] if self.patients else []
        owners += [counted(self.sequences, "sequence")] if self.sequences else []
        owners += [f"neither known for {counted(self.ungrouped, 'frame')}"] if self.ungrouped else []
        return f"{counted(self.frames, 'frame')} ({', '.join(owners)}): {self._polyp_text}"

    @property
    def _polyp_text(self) -> str:
        text = f"{self.positive} with a polyp, {self.negative} without"
        return f"{text}, {self.unscored} unscorable" if self.unscored else text

    @property
    def polyp_sizes_text(self) -> str:
        """How large the polyps of the scored frames are, relative to the field of view."""
        if not self.positive:
            return f"no frame with a polyp, {self.negative} without"
        areas = ", ".join(f"{name}: {count}" for name, count in self.strata.items()) or "not known"
        return f"{self.positive} with a polyp (relative area {areas}), {self.negative} without"

    @property
    def annotation_text(self) -> str:
        """What the reference consists of."""
        words = {"mask": "pixel masks", "box": "boxes only (lesion figures, no pixel figure)"}
        return " and ".join(words.get(kind, inline(kind)) for kind in self.annotations)

    @property
    def origin_text(self) -> str:
        """Name, place, access and terms; "" where no manifest tells them."""
        if self.manifest is None:
            return ""
        access = self.manifest.access
        known = (self.title, self.location, access.level.value, access.how, access.licence, access.citation)
        return "; ".join(inline(part).rstrip(".") for part in known if part)

    @property
    def left_out_text(self) -> str:
        """Single frames that the manifest leaves out, with the reason; "" where there are none."""
        layouts = self.manifest.layouts if self.manifest else ()
        reasons = {excluded.frame: excluded.why for layout in layouts for excluded in layout.exclude}
        return shortened([f"{code(frame)} ({inline(why)})" for frame, why in reasons.items()])

    @property
    def terms_text(self) -> str | None:
        """How it can be had, under which licence, and how it is cited; of a cohort without manifest: its source."""
        if self.manifest is None:
            return self.study.source
        access = self.manifest.access
        return "; ".join(part for part in (access.level.value, access.licence, access.citation) if part)

    def open_questions(self) -> list[str]:
        """Statements of the manifest that contradict one another."""
        facts = self.manifest.facts if self.manifest else ()
        return [inline(fact.statement) for fact in facts if fact.status is FactStatus.CONTRADICTED]

    @property
    def unverified_text(self) -> str | None:
        """How many statements of the manifest are declared or unverified; None where there are none."""
        facts = self.manifest.facts if self.manifest else ()
        doubtful = sum(fact.status in (FactStatus.UNVERIFIED, FactStatus.DECLARED) for fact in facts)
        return f"{doubtful} of {counted(len(facts), 'statement')} in its manifest not verified" if doubtful else None


def _range_of(sizes: Collection[tuple[int, int]]) -> str:
    widths, heights = zip(*sizes, strict=True)
    return f"{len(sizes)} sizes, {min(widths)}–{max(widths)} × {min(heights)}–{max(heights)} px"


def cohort_facts(cases: pd.DataFrame, study: Study) -> tuple[CohortFacts, ...]:
    """The facts of every cohort in checked cases, in the order of first appearance."""
    return tuple(_facts_of(str(name), group, study) for name, group in cases.groupby("cohort", sort=False))


def _facts_of(cohort: str, cases: pd.DataFrame, study: Study) -> CohortFacts:
    frames = cases.drop_duplicates(["split", "frame"])
    predictions = cases.drop_duplicates(["training", "model", "split", "frame"])
    sizes = Counter(zip(frames["width_px"].astype(int), frames["height_px"].astype(int), strict=True))
    positive, negative = int(frames["positive"].sum()), int(frames["negative"].sum())
    return CohortFacts(
        id=cohort,
        manifest=load_catalogue().get(whole_cohort(cohort)),
        study=study.cohort(cohort),
        phantom=bool(frames["phantom"].any()),
        annotations=_distinct(frames["annotation"]),
        splits=_distinct(frames["split"]),
        roles=_distinct(cases["role"]),
        frames=len(frames),
        positive=positive,
        negative=negative,
        unscored=len(frames) - positive - negative,
        patients=_named(frames["patient"]),
        sequences=_named(frames["sequence"]),
        ungrouped=int((frames["cluster"] == "").sum()),
        unit=_unit(frames),
        sizes=dict(sizes),
        strata=_strata(frames),
        missing_predictions=int(predictions["prediction_missing"].sum()),
    )


def _strata(frames: pd.DataFrame) -> dict[str, int]:
    strata = size_stratum(frames.loc[frames["positive"], "relative_polyp_area"].to_numpy(dtype=float))
    if (strata == NO_STRATUM).any():  # boxes tell no area
        return {}
    return {name: int((strata == location).sum()) for location, name in enumerate(SIZE_STRATA)}


def _distinct(column: pd.Series) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, column)))


def _named(column: pd.Series) -> int:
    return int(column[column != ""].nunique())


def _unit(frames: pd.DataFrame) -> str:
    if (frames["cluster"] == "").any():
        return "unknown"
    patients = frames["patient"] != ""
    return "patient" if patients.all() else "mixed" if patients.any() else "sequence"


def overlaps_between(cohorts: Collection[CohortFacts]) -> list[str]:
    """What the manifests say about frames that two of the cohorts share."""
    ids = {cohort.id for cohort in cohorts}
    return [
        f"{code(cohort.id)} and {code(overlap.cohort)}: {inline(overlap.what)} ({overlap.status.value})"
        for cohort in cohorts
        if cohort.manifest
        for overlap in cohort.manifest.overlaps
        if overlap.cohort in ids
    ]
