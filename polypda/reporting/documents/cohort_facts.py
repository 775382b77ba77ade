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
from polypda.evaluation.aggregation.centres import cluster_count
from polypda.reporting.documents.study import CohortStudy, Study
from polypda.reporting.documents.templates import code, inline, shortened
from polypda.reporting.wording import counted

NOT_IN_CATALOGUE = "not in the catalogue"
MOST_SIZES = 3

FACT_COLUMNS = [
    *("cohort", "split", "model", "training", "frame", "patient", "sequence", "cluster", "phantom", "annotation"),
    *("prediction_missing", "width_px", "height_px", "positive", "negative", "relative_polyp_area"),
]
"""Columns of the cases that a cohort's facts are read from."""


@dataclass(frozen=True)
class ScoredCohort:
    """A scored cohort.

    manifest: None for a cohort that no catalogue entry describes. cases: its rows of checked cases. frames: each of its
    frames once, whatever number of models scored it; counts are of these.
    """

    id: str
    manifest: Manifest | None
    study: CohortStudy
    cases: pd.DataFrame
    frames: pd.DataFrame

    @property
    def phantom(self) -> bool:
        return bool(self.frames["phantom"].any())

    @property
    def annotations(self) -> tuple[str, ...]:
        """ "mask", "box", as found in the cases."""
        return _distinct(self.frames["annotation"])

    @property
    def splits(self) -> tuple[str, ...]:
        return _distinct(self.frames["split"])

    @property
    def unit(self) -> str:
        """Of its clusters: patient, sequence, mixed or unknown."""
        return cluster_count(self.frames)[1]

    @property
    def unscored(self) -> int:
        """Frames that are neither positive nor negative."""
        return int((~self.frames["positive"] & ~self.frames["negative"]).sum())

    @property
    def missing_predictions(self) -> int:
        """Of trainings × frames, scored as empty on request."""
        missing = self.cases.loc[self.cases["prediction_missing"], ["training", "model", "split", "frame"]]
        return len(missing.drop_duplicates())

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
        pairs = zip(self.frames["width_px"].astype(int), self.frames["height_px"].astype(int), strict=True)
        sizes = Counter(pairs)
        if len(sizes) > MOST_SIZES + 1:
            widths, heights = zip(*sizes, strict=True)
            return f"{len(sizes)} sizes, {min(widths)}–{max(widths)} × {min(heights)}–{max(heights)} px"
        ordered = sorted(sizes, key=lambda size: (-sizes[size], size))
        return shortened([f"{width}×{height} px" for width, height in ordered], MOST_SIZES)

    @property
    def count_text(self) -> str:
        """How many frames were scored, of whom, with how many polyps."""
        count, ungrouped = len(self.frames), int((self.frames["cluster"] == "").sum())
        polyps = f"{self._positive} with a polyp, {self._negative} without"
        polyps += f", {self.unscored} unscorable" if self.unscored else ""
        if ungrouped == count:
            return f"{counted(count, 'frame')} (patients and sequences unknown): {polyps}"
        named = {noun: self.frames.loc[self.frames[noun] != "", noun].nunique() for noun in ("patient", "sequence")}
        owners = [counted(number, noun) for noun, number in named.items() if number]
        owners += [f"neither known for {counted(ungrouped, 'frame')}"] if ungrouped else []
        return f"{counted(count, 'frame')} ({', '.join(owners)}): {polyps}"

    @property
    def polyp_sizes_text(self) -> str:
        """How large the polyps of the scored frames are, relative to the field of view."""
        if not self._positive:
            return f"no frame with a polyp, {self._negative} without"
        areas = self.frames.loc[self.frames["positive"], "relative_polyp_area"]
        strata = size_stratum(areas.to_numpy(dtype=float))
        sizes = ", ".join(f"{name}: {(strata == index).sum()}" for index, name in enumerate(SIZE_STRATA))
        sizes = "not known" if (strata == NO_STRATUM).any() else sizes  # boxes have no area
        return f"{self._positive} with a polyp (relative area {sizes}), {self._negative} without"

    @property
    def _positive(self) -> int:
        return int(self.frames["positive"].sum())

    @property
    def _negative(self) -> int:
        return int(self.frames["negative"].sum())

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


def cohort_facts(cases: pd.DataFrame, study: Study) -> tuple[ScoredCohort, ...]:
    """The facts of every cohort in checked cases, in the order of first appearance."""
    catalogue = load_catalogue()
    cases = cases[FACT_COLUMNS]
    return tuple(
        ScoredCohort(
            cohort,
            catalogue.get(whole_cohort(cohort)),
            study.cohort(cohort),
            own,
            own.drop_duplicates(["split", "frame"]),
        )
        for cohort, own in ((str(name), group) for name, group in cases.groupby("cohort", sort=False))
    )


def _distinct(column: pd.Series) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, column)))


def overlaps_between(cohorts: Collection[ScoredCohort]) -> list[str]:
    """What the manifests say about frames that two of the cohorts share."""
    ids = {cohort.id for cohort in cohorts}
    return [
        f"{code(cohort.id)} and {code(overlap.cohort)}: {inline(overlap.what)} ({overlap.status.value})"
        for cohort in cohorts
        if cohort.manifest
        for overlap in cohort.manifest.overlaps
        if overlap.cohort in ids
    ]
