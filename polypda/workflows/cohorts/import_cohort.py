"""``polypda cohorts import``: from what an owner holds on disk to a cohort folder, whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from polypda import __version__
from polypda.cohorts.catalogue import COHORT_ID, manifest, shipped_catalogue
from polypda.cohorts.manifest import Manifest
from polypda.errors import DataError, UsageError
from polypda.files import require_writable
from polypda.importing.contract import Ledger, Reader
from polypda.importing.images.deinterlacing import of_one_moment
from polypda.importing.readers.frame_tables import is_table_name
from polypda.importing.registry import AUTO, check_format, reader_for
from polypda.importing.source_tree import CountedTree, digest_of, open_source
from polypda.importing.writing.cohort_writer import CohortWriter, Treatment
from polypda.importing.writing.documents import FILE_NAME as LEDGER_FILE
from polypda.importing.writing.documents import (
    Details,
    ImportSummary,
    ledger_json,
    manifest_of_import,
    manifest_yaml,
    new_manifest,
    summarise,
)
from polypda.importing.writing.records import REWRITTEN, FrameRecord, divided_groups, existing_records, require_addable
from polypda.importing.writing.staging import Staging, clear_published, link_tree, staging
from polypda.workflows.cohorts.cohort_sheet import FILE_NAME as SHEET_FILE
from polypda.workflows.cohorts.cohort_sheet import contact_sheet


@dataclass(frozen=True)
class ImportRequest:
    """What shall be imported, as what, and where to.

    root: data root below which the cohort's folder is written. update: add to a cohort that is there. strict: write
    nothing unless everything is taken. dry_run: look at everything, write nothing. deinterlace: keep one field of
    pictures that hold two moments; films have an option of their own, which looks at neighbouring frames.
    """

    source: Path
    cohort_id: str
    root: Path
    format: str = AUTO
    options: Mapping[str, str] = field(default_factory=dict)
    details: Details = field(default_factory=Details)
    update: bool = False
    strict: bool = False
    dry_run: bool = False
    deinterlace: bool = False

    @property
    def folder(self) -> Path:
        """The cohort's folder."""
        return self.root / self.cohort_id


@dataclass(frozen=True)
class ImportResult:
    """summary: the ledger. folder: the cohort's, None where nothing was written. records: every frame in it."""

    summary: ImportSummary
    folder: Path | None
    records: tuple[FrameRecord, ...]


def import_cohort(
    request: ImportRequest,
    treatment: Treatment | None = None,
    on_read: Callable[[int, int], None] | None = None,
    on_advance: Callable[[str, float], None] | None = None,
) -> ImportResult:
    """Import a cohort. The source is only ever read; an interruption leaves no cohort, or the former one.

    on_read: called with the number of the source's files looked at, and of all. on_advance: while a large file (a
    film) is gone through, with its path and the share that is done.

    Raises:
        UsageError: E_COHORT_ID, E_FORMAT, E_OPTION, E_OUT_INSIDE_SOURCE.
        DataError: E_COHORT_EXISTS, E_COHORT_ABSENT (nothing to update), E_IMPORT_RUNNING, E_WRITE_FAILED,
            E_SOURCE_…, E_ARCHIVE_…, E_FORMAT_UNKNOWN, E_NOTHING_TAKEN.
    """
    check_request(request)
    with ExitStack() as stack:
        # a dry run touches no data root, but an archive has to be unpacked somewhere
        root = Path(stack.enter_context(TemporaryDirectory())) if request.dry_run else request.root
        staged = stack.enter_context(staging(root, request.cohort_id))
        plain = open_source(request.source, staged.unpacked)
        tree = CountedTree(plain, on_read)
        # recognising a format must not count: what it alone looked into was used for nothing
        reader = reader_for(request.format, plain, request.options, shipped_catalogue().get(request.cohort_id))
        if request.deinterlace and reader.deinterlaces:
            what = "--deinterlace is for single pictures."
            raise UsageError("E_OPTION", what, fix="films: -O deinterlace=auto (the default), bwdif or field.")
        treatment = treatment or Treatment()
        if treatment.renames:
            reader = reader.with_original_names()
        if not reader.resumable:  # videos are decoded once
            treatment.prepare(lambda: reader.frames(plain, Ledger()))
        return _imported(request, tree, reader, staged, treatment, on_advance)


def _imported(
    request: ImportRequest,
    tree: CountedTree,
    reader: Reader,
    staged: Staging,
    treatment: Treatment,
    on_advance: Callable[[str, float], None] | None,
) -> ImportResult:
    known = _known(request)
    kept = existing_records(known, request.folder) if request.update else []
    ledger = Ledger(files=len(tree.files()) + len(tree.refused), lines=list(tree.refused), on_advance=on_advance)
    identity = _identity(request, tree, reader, treatment)
    digest = partial(digest_of, tree.uncounted)
    resumed = [] if request.dry_run else staged.begin(identity, resumable=reader.resumable, digest=digest)
    if resumed:
        ledger.lines.clear()  # the journal holds these
    writer = CohortWriter(None if request.dry_run else staged, ledger, treatment, kept=kept, resumed=resumed)
    frames = reader.frames(tree, ledger)
    writer.take_all(map(of_one_moment, frames) if request.deinterlace else frames)
    if kept and any(record.mask for record in writer.records):
        require_addable(known, request.folder, kept)
    writer.patients.tell(ledger, tree.name)
    for leak in divided_groups(request.cohort_id, [*writer.kept, *writer.records]):
        ledger.remark(tree.name, "W_SPLIT_LEAK", leak)
    unseen = tree.unseen({line.origin for line in ledger.lines} | ledger.finished)
    records = writer.complete()
    indices = (request.source.resolve(), request.source.absolute(), staged.unpacked, staged.folder, Path.home())
    summary = summarise(request.cohort_id, tree.name, reader.name, ledger, writer.records, unseen, treatment, indices)
    nothing = not writer.records and not request.update
    if request.dry_run or nothing or (request.strict and not summary.everything_taken):
        staged.discard()
        return ImportResult(summary, None, tuple(records))
    _describe(request, known, reader, staged, summary, records)
    treatment.seal(staged.cohort)
    staged.publish()
    return ImportResult(summary, request.folder, tuple(records))


def _describe(
    request: ImportRequest,
    known: Manifest,
    reader: Reader,
    staged: Staging,
    summary: ImportSummary,
    records: list[FrameRecord],
) -> None:
    """The files beside the frames: ledger, manifest, contact sheet."""
    if request.update:
        link_tree(request.folder, staged.cohort, REWRITTEN)
    former = request.folder / LEDGER_FILE
    earlier = former.read_text(encoding="utf-8") if request.update and former.is_file() else None
    staged.write(LEDGER_FILE, ledger_json(summary, __version__, earlier).encode())
    left_out = sum(count for code, count in summary.left_out.items() if not code.startswith("N_"))
    described = manifest_of_import(known, records, left_out, reader.name, request.details)
    staged.write("manifest.yaml", manifest_yaml(described).encode())
    name = described.title.en if described.title.en == described.id else f"{described.id} · {described.title.en}"
    staged.write(SHEET_FILE, contact_sheet(name, staged.cohort, records))


def _known(request: ImportRequest) -> Manifest:
    """What is known of the cohort. Raises: DataError E_MANIFEST… for a wrong manifest in its folder."""
    try:
        return manifest(request.cohort_id, request.root)
    except UsageError:
        return new_manifest(request.cohort_id)


def check_request(request: ImportRequest) -> None:
    """All that can be told before the source is looked at; :func:`import_cohort` begins with it.

    Raises: UsageError E_COHORT_ID, E_OUT_INSIDE_SOURCE, E_FORMAT, E_OPTION; DataError E_COHORT_ABSENT, E_COHORT_EXISTS,
        E_WRITE_FAILED, E_MANIFEST….
    """
    if not COHORT_ID.fullmatch(request.cohort_id):
        what = f"'{request.cohort_id}' cannot be a cohort's id."
        raise UsageError("E_COHORT_ID", what, fix="use small letters and digits, parted by single hyphens.")
    source, root, folder = request.source.resolve(), request.root.resolve(), request.folder
    if source.is_dir() and (root == source or root.is_relative_to(source)):
        what = "the data root lies in the folder that is imported, which is never written to."
        raise UsageError("E_OUT_INSIDE_SOURCE", what, where=request.root, fix="name another with --out.")
    if request.update and not folder.is_dir():
        what = "there is no such cohort that could be added to."
        raise DataError("E_COHORT_ABSENT", what, where=folder, fix="leave --update out.")
    if not request.update and folder.exists():
        clear_published(request.root, request.cohort_id)
        fix = "--update adds new frames to it; else choose another --out, or remove it."
        raise DataError("E_COHORT_EXISTS", "something lies there already.", where=folder, fix=fix)
    check_format(request.format, request.options)
    if not request.dry_run:
        require_writable(request.root)
    _known(request)


def _identity(request: ImportRequest, tree: CountedTree, reader: Reader, treatment: Treatment) -> dict[str, str]:
    """What an interrupted import must have in common with this one to be gone on with. No path stands in it: only
    whether one is the same can be told."""
    listed = filter(is_table_name, tree.files()) if reader.resumable else ()  # what they say of films stands in rows
    tables = [(path, digest_of(tree.uncounted, path, whole=True)) for path in listed]
    return {
        "source": hashlib.sha256(os.fsencode(request.source.resolve())).hexdigest(),
        "tables": hashlib.sha256(repr(tables).encode(errors="surrogatepass")).hexdigest(),
        "format": reader.name,
        "options": str(sorted(request.options.items())),
        "treatment": treatment.identity,
        "deinterlace": str(request.deinterlace),
        "update": str(request.update),
        "version": __version__,
    }
