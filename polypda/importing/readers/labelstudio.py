"""Label Studio's JSON export (the full one, not JSON-MIN): a list of tasks with their annotations.

* Brush regions, polygons and ellipses are regions, rectangles are boxes (a turned one becomes the upright box around
  it). Everything but the brush is in percent of the image.
* Several annotators: an annotation marked as ground truth counts, else the one that was changed last; skipped
  (``was_cancelled``) ones never do. The ledger says how many there were (N_ANNOTATORS). Predictions are no annotations.
* An annotation without a polyp means that there is none, unless choices were made and none of them says so; such a
  frame, like a task that nobody annotated, is taken without a label.
* The image is the first field of the task's data that names one. Label Studio's upload prefix (eight characters and
  a hyphen), local-file addresses (``?d=``) and other machines' paths are understood; nothing is ever fetched.
* Other fields of the data tell patient, sequence, mode and split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, facts_in, says_no_polyp
from polypda.importing.annotations.annotation_files import (
    brush_mask,
    items,
    mapping,
    mappings,
    number,
    read_json,
    size_px,
    text,
)
from polypda.importing.annotations.shapes import (
    Box,
    Ellipse,
    Painted,
    Polygon,
    Shape,
    Unpaintable,
    ring_of_pairs,
    turned_box,
)
from polypda.importing.contract import Ledger, NegativeLabel, Remark, SourceTree
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    Annotation,
    NamedImages,
    first_bytes,
    is_image,
    sound_files,
)

_TASKS = re.compile(rb"\A(\xef\xbb\xbf)?\s*\[\s*\{")
_ANNOTATED = re.compile(rb'"(annotations|completions)"\s*:\s*\[')
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_KINDS = ("brush", "polygon", "rectangle", "ellipse", "keypoint", "vector", "bitmask")
PREDICTED = Remark("W_PREDICTION_ONLY", "only a model's prediction, which is no annotation: taken without a label.")
TURNED = Remark("W_ANNOTATION_TURNED", "annotated on a turned picture, which is not read: taken without a label.")


class LabelStudioReader(AnnotatedReader):
    """See the module."""

    name = "labelstudio"
    title = "Label Studio JSON export: brush, polygons, boxes"
    what = "a Label Studio JSON export"
    known_options = ("classes",)

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            _TASKS.match(data) and ((_ANNOTATED.search(data) and b'"data"' in data) or b'"annotation_id"' in data)
            for _, data in first_bytes(tree, ".json")
        )

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        files = list(_files(tree, ledger))
        return Annotation(len(files), [_annotated(path, task) for path, tasks in files for task in tasks])


def _files(tree: SourceTree, ledger: Ledger) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for path, value in sound_files(tree, ".json", read_json, ledger):
        if any("annotation_id" in task and "data" not in task for task in mappings(value)):
            what = "is Label Studio's short export (JSON-MIN), which is not read."
            raise DataError("E_ANNOTATION_SHORT", what, where=path, fix="export the project as JSON (the full one).")
        tasks = [task for task in mappings(value) if isinstance(task.get("data"), dict)]
        if tasks:
            yield path, tasks


def _annotated(path: str, task: dict[str, Any]) -> AnnotatedImage:
    data, chosen = mapping(task.get("data")), _chosen(task)
    drawn = _drawn_in(chosen, path) if chosen else []
    notes: list[Remark] = []
    sizes = {size for each in mappings((chosen or {}).get("result")) if (size := _drawn_on(each)) is not None}
    names = _names(data)
    problem = None
    if not names:
        what, fix = "no field of the task's data names a picture.", "export the tasks with their image field."
        problem = DataError("E_IMAGE_MISSING", what, where=path, fix=fix)
    elif len(sizes) > 1 and not _turned_image(chosen or {}):
        what = f"drawn on pictures of different sizes: {sizes}."
        problem = DataError("E_ANNOTATION_SIZE", what, fix="export the annotation again.")
    return AnnotatedImage(
        names=names,
        file=path,
        origin=f"{path} task {text(task.get('id'))}",
        shapes=tuple(drawn),
        size=next(iter(sizes), None),
        withheld=_withheld(task, chosen, drawn, notes),
        empty=NegativeLabel() if chosen else None,
        facts=facts_in(data),
        remarks=tuple(notes),
        problem=problem,
    )


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    listed = task.get("annotations") or task.get("completions")  # as versions before 1.0 called them
    return [each for each in mappings(listed) if each.get("was_cancelled") is not True]


def _chosen(task: dict[str, Any]) -> dict[str, Any] | None:
    """The annotation that counts (see the module); among equals the last one in the file."""
    ranked = [
        (each.get("ground_truth") is True, text(each.get("updated_at")) or text(each.get("created_at")), index)
        for index, each in enumerate(_annotations(task))
    ]
    return _annotations(task)[max(ranked)[2]] if ranked else None


def _withheld(
    task: dict[str, Any], chosen: dict[str, Any] | None, drawn: list[Drawn], notes: list[Remark]
) -> Remark | None:
    """Why a task gives no label although it may draw something; what else is notable is added to ``notes``."""
    if chosen is None:
        return PREDICTED if mappings(task.get("predictions")) else None
    many = len(_annotations(task))
    if many > 1:
        rule = "the ground truth" if chosen.get("ground_truth") is True else "the one changed last"
        notes.append(Remark("N_ANNOTATORS", f"{many} annotations; {rule} counts."))
    if _turned_image(chosen):
        return TURNED
    results = mappings(chosen.get("result"))
    choices = [text(each) for result in results for each in items(mapping(result.get("value")).get("choices"))]
    none_chosen = any(map(says_no_polyp, choices))
    if drawn and none_chosen:
        notes.append(Remark("W_CHOICE_CONTRADICTED", "a choice says that there is no polyp, but one is drawn."))
    if not drawn and choices and not none_chosen:
        what = f"nothing is drawn, and the choice ({', '.join(choices)}) does not say that there is no polyp: no label."
        return Remark("W_CHOICE_ALONE", what)
    return None


def _names(data: dict[str, Any]) -> tuple[str, ...]:
    """The image by the first field of the data that names one, as it stands there and without the upload's prefix."""
    for value in data.values():
        written = _path_in(value) if isinstance(value, str) else ""
        if is_image(written):
            folder, _, name = written.rpartition("/")
            bare = "/".join(filter(None, (folder, _UPLOAD_PREFIX.sub("", name))))
            return tuple(dict.fromkeys((written, bare)))
    return ()


def _path_in(address: str) -> str:
    """The path within an address; a file of Label Studio's local storage is named by ``?d=``."""
    try:
        parts = urlsplit(address.strip())
        query = parse_qs(parts.query).get("d")
    except ValueError:
        return ""
    return (query[0] if query else unquote(parts.path)).replace("\\", "/").lstrip("/")


def _drawn_in(annotation: dict[str, Any], where: str) -> list[Drawn]:
    """The shapes with their classes. A class may stand in the shape's own result or in another with the same id."""
    results = mappings(annotation.get("result"))
    labels: dict[str, str] = {}
    for result in filter(_labels, results):
        labels.setdefault(text(result.get("id")), _labels(result))
    drawn = []
    for result in results:
        kind = text(result.get("type")).removesuffix("labels")
        if kind in _KINDS:
            label = _labels(result) or labels.get(text(result.get("id")), "")
            drawn.append(Drawn(_shape(kind, result, where), label))
    return drawn


def _turned_image(annotation: dict[str, Any]) -> bool:
    """Whether the annotator had turned the image."""
    return any(number(result.get("image_rotation", 0)) != 0 for result in mappings(annotation.get("result")))


def _drawn_on(result: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) of the image as the result tells it."""
    return size_px(result.get("original_width"), result.get("original_height"))


def _labels(result: dict[str, Any]) -> str:
    value = mapping(result.get("value"))
    names = [text(name) for key in value if key.endswith("labels") for name in items(value[key])]
    return next(filter(None, names), "")


def _shape(kind: str, result: dict[str, Any], where: str) -> Shape:
    value, size = mapping(result.get("value")), _drawn_on(result)
    if size is None:
        return Unpaintable()
    height, width = size
    if kind == "brush" and text(value.get("format")) == "rle":
        stream = items(value.get("rle"))
        return Painted(lambda size: brush_mask(stream, size, where), size)
    if kind == "polygon":
        return Polygon((ring_of_pairs(value.get("points")) * (width / 100, height / 100),))
    x, y = number(value.get("x")) * width / 100, number(value.get("y")) * height / 100
    turned_deg = number(value.get("rotation", 0))
    if kind == "rectangle":
        across, down = number(value.get("width")) * width / 100, number(value.get("height")) * height / 100
        if turned_deg:
            return turned_box(x, y, across, down, turned_deg, about_centre=False)
        return Box(x, y, x + across, y + down)
    if kind == "ellipse":
        radius_x, radius_y = number(value.get("radiusX")) * width / 100, number(value.get("radiusY")) * height / 100
        return Ellipse(x, y, radius_x, radius_y, turned_deg)
    return Unpaintable()
