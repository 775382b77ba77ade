"""``import.json``: what came of every file, with nothing of the machine on which it was read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypda.importing.contract import Ledger, LedgerLine
from polypda.importing.writing.cohort_writer import Treatment
from polypda.importing.writing.frame_names import readable
from polypda.importing.writing.records import FrameRecord

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
