"""What an import writes beside the frames: the manifest (what was known, with what these files show, and where the two
disagree), and ``import.json``, what came of every file, with nothing of the machine on which it was read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from polypda.importing.contract import Ledger, LedgerLine
from polypda.importing.writing.cohort_writer import Treatment
from polypda.importing.writing.records import FrameRecord, readable

SOURCE = "import of the files"
"""Begins the source of every fact that an import states; a later import replaces these."""
MOST_SIZES = 6
"""More sizes than this are given as a range."""


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
    source = f"{SOURCE} (format {format_name})"
    facts = [fact for fact in known.facts if not fact.source.startswith(SOURCE)]
    facts.append(Fact(statement=_counted(records, left_out), source=source, status=FactStatus.VERIFIED))
    contradictions = _contradictions(known, records)
    facts += [Fact(statement=text, source=source, status=FactStatus.CONTRADICTED) for text in contradictions]
    if given := ", ".join(f"{name} {value}" for name, value in vars(details).items() if value is not None):
        facts.append(Fact(statement=f"Told at the import: {given}.", source=source, status=FactStatus.DECLARED))
    scope = known.scope.model_dump()
    scope |= {name: value for name in ("vendor", "processor", "endoscope") if (value := getattr(details, name))}
    scope["modes"] = tuple(sorted({record.mode for record in records if record.mode})) or known.scope.modes
    title = Title(en=details.title, local=None) if details.title else known.title
    access = known.access.model_copy(update={"licence": details.licence}) if details.licence else known.access
    changes = {
        "title": title,
        "centre": details.centre or known.centre,
        "city": details.city or known.city,
        "country": details.country or known.country,
        "scope": Scope(**scope),
        "verified": _extent(records, known.verified),
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


def _counted(records: Sequence[FrameRecord], left_out: int) -> str:
    counts = Counter(str(record.label_state) for record in records)
    empty = sum(record.label_state == "mask" and record.polyp is False for record in records)
    words = {"mask": "with a mask", "box": "with boxes", "negative": "declared free of polyps", "none": "unlabelled"}
    parts = [f"{counts[state]} {text}" for state, text in words.items() if counts[state]]
    if empty:
        parts.append(f"{empty} of the masks empty")
    sizes = _sizes(records)
    commonest = _times(max(sizes, key=lambda size: sizes[size]))
    taken = f"{len(records)} frames were taken ({', '.join(parts)}); {left_out} files were left out; "
    return f"{taken}the commonest size is {commonest}."


def _contradictions(known: Manifest, records: Sequence[FrameRecord]) -> list[str]:
    found = []
    declared = known.declared
    if declared.frames not in (None, len(records)):
        found.append(f"Declared {declared.frames} frames; {len(records)} are here.")
    negatives = sum(record.polyp is False for record in records)
    if declared.negative_frames not in (None, negatives):
        found.append(f"Declared {declared.negative_frames} frames without a polyp; {negatives} are here.")
    other = {size: count for size, count in _sizes(records).items() if size not in declared.resolutions}
    if declared.resolutions and other:
        wanted = ", ".join(map(_times, declared.resolutions))
        examples = ", ".join(_times(size) for size in list(other)[:3])
        found.append(f"Declared {wanted}; {sum(other.values())} frames have other sizes, e.g. {examples}.")
    drawn = found_annotation(records)
    catalogued = known.declared != Extent() or known.layouts
    if catalogued and drawn is not None and drawn is not known.annotation:
        found.append(f"Declared to be annotated by {known.annotation.value}; these files hold {drawn.value} labels.")
    return found


def _sizes(records: Sequence[FrameRecord]) -> Counter[Size]:
    return Counter(dict(Counter(record.size for record in records).most_common()))


def _distinct(names: Sequence[str | None]) -> int | None:
    """How many groups there are, where every frame names its own."""
    return len(set(names)) if names and all(names) else None


def _times(size: Size) -> str:
    return f"{size[0]}×{size[1]}"


FILE_NAME = "import.json"
FORMER = "former"
"""Key of what earlier imports into the same cohort said."""


@dataclass(frozen=True)
class ImportSummary:
    """What an import came to. lines: as they may be shown; unused: files that the format has no use for, by suffix."""

    cohort: str
    source: str
    format: str
    files: int
    taken: int
    labels: dict[str, int]
    lines: tuple[LedgerLine, ...]
    unused: dict[str, int]

    @property
    def left_out(self) -> Counter[str]:
        """How many were left out, by code."""
        return Counter(line.code for line in self.lines if not line.taken)

    @property
    def everything_taken(self) -> bool:
        """Whether nothing was left out but what the cohort has already."""
        return all(code.startswith("N_") for code in self.left_out)

    def as_dict(self, version: str) -> dict[str, Any]:
        """Plain values for ``import.json``."""
        remarks = Counter(line.code for line in self.lines if line.taken)
        return {
            "polypda": version,
            "cohort": self.cohort,
            "source": self.source,
            "format": self.format,
            "files": self.files,
            "taken": self.taken,
            "labels": self.labels,
            "left_out": dict(sorted(self.left_out.items())),
            "remarks": dict(sorted(remarks.items())),
            "unused_files": dict(sorted(self.unused.items())),
            "lines": [
                {"origin": line.origin, "code": line.code, "what": line.what, "taken": line.taken}
                for line in self.lines
            ],
        }


def summarise(
    cohort_id: str,
    source_name: str,
    format_name: str,
    ledger: Ledger,
    records: Sequence[FrameRecord],
    unused: Counter[str],
    treatment: Treatment,
    machine_paths: Sequence[Path],
) -> ImportSummary:
    """Put an import's outcome together; paths of this machine are taken out of every line."""
    lines = tuple(_impersonal(treatment.line(line), machine_paths) for line in ledger.lines)
    source = _impersonal(treatment.line(LedgerLine(source_name, "", "", taken=True)), machine_paths).origin
    labels = Counter(str(record.label_state) for record in records)
    return ImportSummary(
        cohort_id, source, format_name, ledger.files, ledger.taken, dict(sorted(labels.items())), lines, dict(unused)
    )


def ledger_json(summary: ImportSummary, version: str, former: str | None = None) -> str:
    """The text of ``import.json``; former: that of the cohort that was added to."""
    content = summary.as_dict(version)
    if former:
        with suppress(ValueError, TypeError, AttributeError):  # somebody edited it: then it is no ledger any more
            earlier = json.loads(former)
            content[FORMER] = [*earlier.pop(FORMER, []), earlier]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _impersonal(line: LedgerLine, machine_paths: Sequence[Path]) -> LedgerLine:
    texts = [readable(text) for text in (line.origin, line.what, line.fix)]
    for path in machine_paths:
        texts = [text.replace(f"{path}/", "").replace(str(path), path.name) for text in texts]
    return LedgerLine(texts[0], line.code, texts[1], line.taken, texts[2])
