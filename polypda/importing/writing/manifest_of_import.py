"""The manifest that an import writes: what was known, with what these files show, and where the two disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from polypda.cohorts.manifest import (
    Access,
    AccessLevel,
    Annotation,
    Extent,
    Fact,
    FactStatus,
    Manifest,
    Media,
    Scope,
    Size,
    Title,
)
from polypda.importing.writing.records import FrameRecord

SOURCE = "import of the files"
"""Begins the source of every fact that an import states; a later import replaces these."""
MOST_SIZES = 6
"""More sizes than this are told as a range."""


@dataclass(frozen=True)
class Details:
    """What the owner says of a cohort; None leaves it as it is known, or unknown."""

    title: str | None = None
    centre: str | None = None
    city: str | None = None
    country: str | None = None
    vendor: str | None = None
    processor: str | None = None
    endoscope: str | None = None
    licence: str | None = None

    @property
    def said(self) -> bool:
        """Whether the owner says anything."""
        return any(value is not None for value in vars(self).values())


def new_manifest(cohort_id: str) -> Manifest:
    """The manifest of a cohort of which nothing is known yet."""
    return Manifest(
        id=cohort_id,
        title=Title(en=cohort_id),
        centre=None,
        city=None,
        country=None,
        scope=Scope(),
        declared=Extent(),
        verified=Extent(),
        annotation=Annotation.NONE,
        media=Media.FRAMES,
        access=Access(level=AccessLevel.PRIVATE, how="Imported from files of its owner; ask the owner."),
        facts=(Fact(statement="Nothing is declared of this cohort.", source=SOURCE, status=FactStatus.UNVERIFIED),),
    )


def manifest_of_import(
    known: Manifest, records: Sequence[FrameRecord], left_out: int, format_name: str, details: Details
) -> Manifest:
    """The manifest with what was verified now. records: every frame of the cohort folder."""
    verified = _extent(records, known.verified)
    source = f"{SOURCE} (format {format_name})"
    facts = [fact for fact in known.facts if not fact.source.startswith(SOURCE)]
    facts += [Fact(statement=text, source=source, status=status) for text, status in _told(known, records, left_out)]
    if details.said:
        said = ", ".join(f"{name} {value}" for name, value in vars(details).items() if value is not None)
        facts.append(Fact(statement=f"Told at the import: {said}.", source=source, status=FactStatus.DECLARED))
    scope = known.scope.model_dump()
    scope |= {name: value for name in ("vendor", "processor", "endoscope") if (value := getattr(details, name))}
    modes = tuple(sorted({record.mode for record in records if record.mode}))
    scope["modes"] = modes or known.scope.modes
    title = Title(en=details.title, local=None) if details.title else known.title
    access = known.access.model_copy(update={"licence": details.licence}) if details.licence else known.access
    changes = {
        "title": title,
        "centre": details.centre or known.centre,
        "city": details.city or known.city,
        "country": details.country or known.country,
        "scope": Scope(**scope),
        "verified": verified,
        "annotation": found_annotation(records) or known.annotation,
        "access": access,
        # the folder that is written is an ordinary one; how the release lies on disk no longer matters
        "layouts": (),
        "facts": tuple(facts),
    }
    return Manifest.model_validate(known.model_copy(update=changes).model_dump())


def manifest_yaml(manifest: Manifest) -> str:
    """The manifest as YAML; unknowns are written as null."""
    content = manifest.model_dump(mode="json")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def found_annotation(records: Sequence[FrameRecord]) -> Annotation | None:
    """What experts drew on these frames; None where no frame has a drawing."""
    states = {record.label_state for record in records}
    if "mask" in states:
        return Annotation.MASK
    return Annotation.BOX if "box" in states else None


def _extent(records: Sequence[FrameRecord], known: Extent) -> Extent:
    sizes = _sizes(records)
    few = len(sizes) <= MOST_SIZES
    widths, heights = [size[0] for size in sizes], [size[1] for size in sizes]
    labelled = [record for record in records if record.polyp is not None]
    every = len(labelled) == len(records)
    changes = {
        "frames": len(records),
        "polyp_frames": sum(bool(record.polyp) for record in labelled) if every else None,
        "negative_frames": sum(not record.polyp for record in labelled) if every else None,
        "sequences": _distinct([record.sequence for record in records]),
        "patients": _distinct([record.patient for record in records]),
        "resolutions": tuple(sizes) if few else (),
        "resolution_range": None if few else ((min(widths), min(heights)), (max(widths), max(heights))),
    }
    return known.model_copy(update=changes)


def _told(known: Manifest, records: Sequence[FrameRecord], left_out: int) -> list[tuple[str, FactStatus]]:
    counts = Counter(str(record.label_state) for record in records)
    empty = sum(record.label_state == "mask" and record.polyp is False for record in records)
    words = {"mask": "with a mask", "box": "with boxes", "negative": "declared free of polyps", "none": "unlabelled"}
    parts = [f"{counts[state]} {text}" for state, text in words.items() if counts[state]]
    if empty:
        parts.append(f"{empty} of the masks empty")
    sizes = _sizes(records)
    said = f"{len(records)} frames were taken ({', '.join(parts)}); {left_out} files were left out; "
    said += f"the commonest size is {_times(max(sizes, key=lambda size: sizes[size]))}."
    told = [(said, FactStatus.VERIFIED)]
    told += [(text, FactStatus.CONTRADICTED) for text in _contradictions(known, records, counts)]
    return told


def _contradictions(known: Manifest, records: Sequence[FrameRecord], counts: Counter[str]) -> list[str]:
    told = []
    declared = known.declared
    if declared.frames not in (None, len(records)):
        told.append(f"Declared {declared.frames} frames; {len(records)} are here.")
    negatives = sum(record.polyp is False for record in records)
    if declared.negative_frames not in (None, negatives):
        told.append(f"Declared {declared.negative_frames} frames without a polyp; {negatives} are here.")
    other = {size: count for size, count in _sizes(records).items() if size not in declared.resolutions}
    if declared.resolutions and other:
        wanted = ", ".join(map(_times, declared.resolutions))
        examples = ", ".join(_times(size) for size in list(other)[:3])
        told.append(f"Declared {wanted}; {sum(other.values())} frames have other sizes, e.g. {examples}.")
    drawn = found_annotation(records)
    catalogued = known.declared != Extent() or known.layouts
    if catalogued and drawn is not None and drawn is not known.annotation:
        told.append(f"Declared to be annotated by {known.annotation.value}; these files hold {drawn.value} labels.")
    return told


def _sizes(records: Sequence[FrameRecord]) -> Counter[Size]:
    return Counter(dict(Counter(record.size for record in records).most_common()))


def _distinct(names: Sequence[str | None]) -> int | None:
    """How many groups there are, where every frame names its own."""
    return len(set(names)) if names and all(names) else None


def _times(size: Size) -> str:
    return f"{size[0]}×{size[1]}"
