"""Label Studio's JSON export (the full one, not JSON-MIN): a list of tasks with their annotations.

* Brush regions, polygons and ellipses are regions, rectangles are boxes (a turned one becomes the upright box around
  it). Everything but the brush is in percent of the picture.
* Several annotators: an annotation marked as ground truth counts, else the one that was changed last; skipped
  (``was_cancelled``) ones never do. The others are not averaged in, and the ledger says how many there were
  (N_ANNOTATORS). Predictions of a model are no annotations.
* An annotation without a polyp means that there is none, unless choices were made and none of them says so; such a
  frame, like a task that nobody annotated, is taken without a label.
* The picture is the first field of the task's data that names one. Label Studio's upload prefix (eight characters and
  a hyphen), local-file addresses (``?d=``) and other machines' paths are understood; nothing is ever fetched.
* Other fields of the data tell patient, sequence, mode and split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_json
from polypda.importing.annotations.drawn_labels import Drawn, Sheet, label_of
from polypda.importing.annotations.frame_facts import facts_of
from polypda.importing.annotations.json_values import mapping, mappings, text
from polypda.importing.annotations.named_images import NamedImages, is_image
from polypda.importing.annotations.polyp_classes import PolypClasses, require_classes, says_no_polyp
from polypda.importing.contract import ImportedFrame, Label, Ledger, NegativeLabel, Remark, SourceTree, UnknownLabel
from polypda.importing.images.pictures import read_picture
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    files_ending,
    first_bytes,
    never_annotated,
    require_some,
)
from polypda.importing.readers.labelstudio_shapes import choices, drawn_in, drawn_on, turned_picture

_TASKS = re.compile(rb"\A(\xef\xbb\xbf)?\s*\[\s*\{")
_ANNOTATED = re.compile(rb'"(annotations|completions)"\s*:\s*\[')
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")


class LabelStudioReader(AnnotatedReader):
    """See the module."""

    name = "labelstudio"
    title = "Label Studio JSON export: brush, polygons, boxes"
    tells_negatives = True

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            _TASKS.match(data) and ((_ANNOTATED.search(data) and b'"data"' in data) or b'"annotation_id"' in data)
            for _, data in first_bytes(tree, files_ending(tree, ".json"))
        )

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        files = list(_files(tree, ledger))
        require_some(len(files), tree, "a Label Studio JSON export", ledger)
        used = {each.label for _, tasks in files for task in tasks for each in _all_drawn(task)}
        require_classes(self.classes, used)
        classes = PolypClasses(self.classes, used)
        for path, tasks in files:
            for task in tasks:
                try:
                    yield _frame(tree, images, path, task, classes)
                except DataError as error:
                    ledger.leave_out(f"{path} task {text(task.get('id'))}", error)
        yield from never_annotated(tree, images)


def _files(tree: SourceTree, ledger: Ledger) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for path in files_ending(tree, ".json"):
        try:
            value = read_json(tree, path)
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        if any("annotation_id" in task and "data" not in task for task in mappings(value)):
            what = "is Label Studio's short export (JSON-MIN), which is not read."
            raise DataError("E_ANNOTATION_SHORT", what, where=path, fix="export the project as JSON (the full one).")
        tasks = [task for task in mappings(value) if isinstance(task.get("data"), dict)]
        if tasks:
            yield path, tasks


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    told = task.get("annotations") or task.get("completions")  # as versions before 1.0 called them
    return [each for each in mappings(told) if each.get("was_cancelled") is not True]


def _chosen(task: dict[str, Any]) -> dict[str, Any] | None:
    """The annotation that counts (see the module); among equals the last one in the file."""
    ranked = [
        (each.get("ground_truth") is True, text(each.get("updated_at")) or text(each.get("created_at")), place)
        for place, each in enumerate(_annotations(task))
    ]
    return _annotations(task)[max(ranked)[2]] if ranked else None


def _all_drawn(task: dict[str, Any]) -> list[Drawn]:
    chosen = _chosen(task)
    return drawn_in(chosen, "") if chosen else []


def _frame(
    tree: SourceTree,
    images: NamedImages,
    path: str,
    task: dict[str, Any],
    classes: PolypClasses,
) -> ImportedFrame:
    data = mapping(task.get("data"))
    picture = _picture(images, data, path)
    notes: list[Remark] = []
    label, facts = _label(task, picture, classes, notes), facts_of(data, picture)
    return ImportedFrame(
        images.names[picture],
        picture,
        partial(read_picture, tree, picture),
        label,
        facts.patient,
        facts.sequence,
        split=facts.split,
        mode=facts.mode,
        patient_by=facts.patient_by,
        remarks=tuple(notes),
    )


def _label(task: dict[str, Any], picture: str, classes: PolypClasses, notes: list[Remark]) -> Label:
    chosen = _chosen(task)
    if chosen is None:
        if mappings(task.get("predictions")):
            what = "only a model's prediction, which is no annotation: taken without a label."
            notes.append(Remark("W_PREDICTION_ONLY", what))
        return UnknownLabel()
    many = len(_annotations(task))
    if many > 1:
        rule = "the ground truth" if chosen.get("ground_truth") is True else "the one changed last"
        notes.append(Remark("N_ANNOTATORS", f"{many} annotations; {rule} counts."))
    if turned_picture(chosen):
        what = "annotated on a turned picture, which is not read: taken without a label."
        notes.append(Remark("W_ANNOTATION_TURNED", what))
        return UnknownLabel()
    drawn, sizes = drawn_in(chosen, picture), _sizes(chosen)
    if len(sizes) > 1:
        raise DataError(
            "E_ANNOTATION_SIZE", f"drawn on pictures of different sizes: {sizes}.", fix="export the annotation again."
        )
    told = list(choices(chosen))
    if drawn and any(map(says_no_polyp, told)):
        notes.append(Remark("W_CHOICE_CONTRADICTED", "a choice says that there is no polyp, but one is drawn."))
    if not drawn and told and not any(map(says_no_polyp, told)):
        what = f"nothing is drawn, and the choice ({', '.join(told)}) does not say that there is no polyp: no label."
        notes.append(Remark("W_CHOICE_ALONE", what))
        return UnknownLabel()
    return label_of(drawn, Sheet(picture, next(iter(sizes), None)), classes, notes, empty=NegativeLabel())


def _sizes(annotation: dict[str, Any]) -> set[tuple[int, int]]:
    return {size for size in map(drawn_on, mappings(annotation.get("result"))) if size is not None}


def _picture(images: NamedImages, data: dict[str, Any], path: str) -> str:
    """The picture's path in the tree."""
    for value in data.values():
        written = _place(value) if isinstance(value, str) else ""
        if not is_image(written):
            continue
        folder, _, name = written.rpartition("/")
        bare = "/".join(filter(None, (folder, _UPLOAD_PREFIX.sub("", name))))
        try:
            return images.find(written, beside=path)
        except DataError as error:
            if bare == written or error.code != "E_IMAGE_MISSING":
                raise
        return images.find(bare, beside=path)
    what = "no field of the task's data names a picture."
    raise DataError("E_IMAGE_MISSING", what, where=path, fix="export the tasks with their image field.")


def _place(address: str) -> str:
    """The path within an address; a file of Label Studio's local storage is named by ``?d=``."""
    try:
        parts = urlsplit(address.strip())
        query = parse_qs(parts.query).get("d")
    except ValueError:
        return ""
    return (query[0] if query else unquote(parts.path)).replace("\\", "/").lstrip("/")
