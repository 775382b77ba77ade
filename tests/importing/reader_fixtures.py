"""Exports of every annotation tool, painted here: pictures with noise, polyps whose pixels are known.

The encoders are written from the formats' facts in the plainest way, one pixel at a time, so that they share nothing
with what they test.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.errors import DataError
from polypda.importing.contract import BoxLabel, ImportedFrame, Ledger, LedgerLine, MaskLabel, NegativeLabel, Reader

HEIGHT, WIDTH = 37, 53  # odd and not square: mistaken axes do not go unnoticed
BoxPx = tuple[float, float, float, float]


@dataclass
class MemoryTree:
    """A source tree that exists only here."""

    contents: Mapping[str, bytes]
    name: str = "export"
    refused: Sequence[LedgerLine] = ()

    def files(self) -> Sequence[str]:
        return sorted(self.contents)

    def read(self, path: str) -> bytes:
        if path not in self.contents:
            raise DataError("E_FILE_UNREADABLE", "is not there.", where=path)
        return self.contents[path]

    def local(self, path: str) -> Path:
        """Only films need a file on disk: a reader of annotations that asks for one fails its test."""
        raise AssertionError(f"{path}: read as bytes what an annotation's reader needs")


@dataclass
class Export:
    """A painted export. masks, boxes, negatives, unlabelled: what a reader should find, by frame name."""

    files: dict[str, bytes] = field(default_factory=dict)
    masks: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    boxes: dict[str, list[BoxPx]] = field(default_factory=dict)
    negatives: set[str] = field(default_factory=set)
    unlabelled: set[str] = field(default_factory=set)
    name: str = "export"

    def tree(self) -> MemoryTree:
        return MemoryTree(self.files, self.name)

    def frames(self) -> set[str]:
        return {*self.masks, *self.boxes, *self.negatives, *self.unlabelled}

    def write(self, folder: Path) -> Path:
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder


def png(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> bytes:
    """A picture of reddish noise."""
    pixels = np.random.default_rng(seed).integers(60, 200, (height, width, 3)).astype(np.uint8)
    pixels[..., 0] |= 128
    return encoded(pixels)


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def angle(height: int = HEIGHT, width: int = WIDTH, at: int = 5) -> tuple[NDArray[np.uint8], list[list[int]]]:
    """An L and its outline, whose corners lie between pixels: which pixels it has is beyond doubt."""
    mask = np.zeros((height, width), np.uint8)
    mask[at : at + 20, at : at + 7] = 1
    mask[at + 12 : at + 20, at : at + 30] = 1
    outline = [(0, 0), (7, 0), (7, 12), (30, 12), (30, 20), (0, 20)]
    return mask, [[at + x, at + y] for x, y in outline]


def spots(height: int = HEIGHT, width: int = WIDTH, seed: int = 1) -> NDArray[np.uint8]:
    """A mask with holes, several parts, and pixels in the corners."""
    mask = (np.random.default_rng(seed).random((height, width)) < 0.3).astype(np.uint8)
    mask[8:20, 10:30] = 1
    mask[11:14, 15:19] = 0
    mask[0, 0] = mask[-1, -1] = 1
    return mask


def runs_of(values: Iterable[int]) -> list[int]:
    """Lengths of alternating runs, the first one of zeros."""
    runs, current = [0], 0
    for value in values:
        if value != current:
            runs.append(0)
            current = value
        runs[-1] += 1
    return runs


def flat(points: Iterable[Iterable[float]]) -> list[float]:
    return [value for point in points for value in point]


def coco_counts(mask: NDArray[np.uint8]) -> list[int]:
    return runs_of(int(mask[row, column]) for column in range(mask.shape[1]) for row in range(mask.shape[0]))


def coco_text(counts: Sequence[int]) -> str:
    """COCO's packed runs."""
    characters = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            done = value == (-1 if bits & 16 else 0)
            characters.append(chr(48 + bits + (0 if done else 32)))
            if done:
                break
    return "".join(characters)


def cvat_window(mask: NDArray[np.uint8]) -> tuple[str, tuple[int, int, int, int]]:
    """CVAT's runs in the smallest window, and (left, top, width, height)."""
    rows, columns = np.nonzero(mask)
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
    runs = runs_of(int(mask[top + row, left + column]) for row in range(height) for column in range(width))
    return ", ".join(map(str, runs)), (left, top, width, height)


def brush_stream(
    mask: NDArray[np.uint8], colour: tuple[int, int, int] = (255, 0, 64), counters: Sequence[int] = (3, 4, 8, 16)
) -> list[int]:
    """Label Studio's brush: RGBA, row by row; equal neighbours become runs, others literals."""
    values = [part for row in mask for value in row for part in ((*colour, 255) if value else (0, 0, 0, 0))]
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in counters)
    index = 0
    while index < len(values):
        run = index
        while run < len(values) and values[run] == values[index] and run - index < 2 ** counters[-1]:
            run += 1
        if run - index > 1:
            bits += _block("1", run - index, counters) + f"{values[index]:08b}"
            index = run
            continue
        many = 1
        while index + many + 1 < len(values) and values[index + many] != values[index + many + 1] and many < 200:
            many += 1
        bits += _block("0", many, counters) + "".join(f"{value:08b}" for value in values[index : index + many])
        index += many
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


def _block(kind: str, many: int, counters: Sequence[int]) -> str:
    which = next(index for index, size in enumerate(counters) if many <= 2**size)
    return f"{kind}{which:02b}{many - 1:0{counters[which]}b}"


def coco_export() -> Export:
    """Polygon, two parts, both run lengths, a box alone, nothing, another class only."""
    export = Export()
    mask, outline = angle()
    far, far_outline = angle(at=1)
    images, annotations = [], []

    def add(name: str, **drawn: object) -> None:
        export.files[f"images/{name}.png"] = png(seed=len(images))
        images.append({"id": len(images) + 1, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT})
        if drawn:
            drawn = {"iscrowd": 0, "category_id": 1, "id": len(annotations) + 1, **drawn}
            annotations.append({**drawn, "image_id": len(images)})

    add("polygon", segmentation=[flat(outline)], bbox=[5, 5, 30, 20])
    export.masks["polygon"] = mask
    add("parts", segmentation=[flat(outline), flat(far_outline)])
    export.masks["parts"] = mask | far
    painted = spots()
    add("runs", segmentation={"size": [HEIGHT, WIDTH], "counts": coco_counts(painted)}, iscrowd=1)
    add("packed", segmentation={"size": [HEIGHT, WIDTH], "counts": coco_text(coco_counts(painted))})
    export.masks["runs"] = export.masks["packed"] = painted
    add("box", segmentation=[], bbox=[4, 6, 10.5, 12])
    export.boxes["box"] = [(4, 6, 14.5, 18)]
    add("nothing")
    add("forceps", segmentation=[flat(outline)], category_id=2)
    export.unlabelled |= {"nothing", "forceps"}
    categories = [{"id": 1, "name": "polyp"}, {"id": 2, "name": "instrument"}]
    value = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    export.files["annotations/instances_default.json"] = json.dumps(value).encode()
    return export


def labelme_export() -> Export:
    """Polygon, hole, circle, painted mask, rectangle, nothing drawn, an embedded picture, a picture without a file."""
    export = Export()
    mask, outline = angle()

    def add(name: str, *shapes: dict[str, object], embedded: bool = False, **more: object) -> None:
        image = png(seed=len(export.files))
        value = {"version": "5.4", "flags": {}, "shapes": shapes, "imagePath": f"..\\frames\\{name}.png"}
        value |= {"imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}
        if embedded:
            value["imageData"] = base64.b64encode(image).decode()
        else:
            export.files[f"frames/{name}.png"] = image
        export.files[f"frames/{name}.json"] = json.dumps(value).encode()

    def shape(kind: str, points: object, label: str = "polyp", **more: object) -> dict[str, object]:
        return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}

    add("polygon", shape("polygon", outline))
    export.masks["polygon"] = mask
    hole = [[6, 6], [10, 6], [10, 11], [6, 11]]
    add("hole", shape("polygon", outline), shape("polygon", hole, "hole"))
    export.masks["hole"] = mask.copy()
    export.masks["hole"][6:11, 6:10] = 0
    add("circle", shape("circle", [[20, 15], [20, 22.5]]))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = (rows + 0.5 - 15) ** 2 + (columns + 0.5 - 20) ** 2 <= 7.5**2
    export.masks["circle"] = disc.astype(np.uint8)
    stamp = spots(9, 11)
    stamp64 = base64.b64encode(encoded(stamp)).decode()
    add("stamp", shape("mask", [[7, 3], [17, 11]], mask=stamp64))
    export.masks["stamp"] = np.zeros((HEIGHT, WIDTH), np.uint8)
    export.masks["stamp"][3:12, 7:18] = stamp
    add("rectangle", shape("rectangle", [[30, 20], [10, 5.5]]))
    export.boxes["rectangle"] = [(10, 5.5, 30, 20)]
    add("clean", flags={"NBI": True})
    export.negatives.add("clean")
    add("embedded", shape("polygon", outline), embedded=True)
    export.masks["embedded"] = mask
    export.files["frames/forgotten.png"] = png(seed=99)
    export.unlabelled.add("forgotten")
    return export


def cvat_export() -> Export:
    """For images: polygon, run lengths, ellipse, box, turned box, nothing, a tag that says no polyp."""
    export = Export()
    mask, outline = angle()
    elements = []

    def add(name: str, drawn: str = "", subset: str = "Train") -> None:
        export.files[f"images/{name}.png"] = png(seed=len(elements))
        size = f'width="{WIDTH}" height="{HEIGHT}"'
        elements.append(f'<image id="{len(elements)}" name="{name}.png" subset="{subset}" {size}>{drawn}</image>')

    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in outline)
    mode = '<attribute name="modality">NBI</attribute><attribute name="patient">p7</attribute>'
    add("polygon", f'<polygon label="polyp" source="manual" occluded="0" points="{points}">{mode}</polygon>', "Test")
    export.masks["polygon"] = mask
    painted = spots()
    painted[:4] = painted[:, :6] = 0
    runs, (left, top, width, height) = cvat_window(painted)
    window = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    add("mask", f'<mask label="polyp" source="manual" occluded="0" rle="{runs}" {window} z_order="0"></mask>')
    export.masks["mask"] = painted
    add("ellipse", '<ellipse label="polyp" cx="20.5" cy="18.5" rx="9" ry="5" rotation="0.00"/>')
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((columns + 0.5 - 20.5) / 9) ** 2 + ((rows + 0.5 - 18.5) / 5) ** 2 <= 1
    export.masks["ellipse"] = inside.astype(np.uint8)
    add("box", '<box label="polyp" xtl="4.25" ytl="6.00" xbr="14.50" ybr="18.00"/>')
    export.boxes["box"] = [(4.25, 6, 14.5, 18)]
    add("turned", '<box label="polyp" xtl="10" ytl="10" xbr="20" ybr="14" rotation="90.00"/>')
    export.boxes["turned"] = [(13, 7, 17, 17)]
    add("nothing")
    export.unlabelled.add("nothing")
    add("clean", '<tag label="no polyp" source="manual"/>')
    export.negatives.add("clean")
    labels = "<labels><label><name>polyp</name></label><label><name>no polyp</name></label></labels>"
    meta = f"<meta><task><id>3</id><name>colon</name><mode>annotation</mode>{labels}</task></meta>"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{"".join(elements)}'
    export.files["annotations.xml"] = f"{text}</annotations>".encode()
    return export


def cvat_video_export() -> Export:
    """For video: eight frames; a box that moves and leaves, a polygon that stays for two frames."""
    export = Export()
    mask, outline = angle()
    for frame in range(8):
        export.files[f"images/frame_{frame:06d}.PNG"] = png(seed=frame)
    points = ";".join(f"{x},{y}" for x, y in outline)

    def box(frame: int, x: int, outside: int = 0, keyframe: int = 1) -> str:
        told = f'frame="{frame}" keyframe="{keyframe}" outside="{outside}" occluded="0"'
        return f'<box {told} xtl="{x}" ytl="5" xbr="{x + 10}" ybr="15"></box>'

    moving = box(0, 4) + box(2, 8) + box(3, 8, outside=1)  # frame 1 lies between
    still = "".join(
        f'<polygon frame="{frame}" keyframe="1" outside="{outside}" points="{points}"/>'
        for frame, outside in ((5, 0), (6, 0), (7, 1))
    )
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    meta = f"<meta><task><name>case 4</name><size>8</size><mode>interpolation</mode>{size}</task></meta>"
    tracks = f'<track id="0" label="polyp">{moving}</track><track id="1" label="polyp">{still}</track>'
    export.files["annotations.xml"] = f"<annotations><version>1.1</version>{meta}{tracks}</annotations>".encode()
    export.boxes = {f"frame_{frame:06d}": [(x, 5, x + 10, 15)] for frame, x in ((0, 4), (1, 6), (2, 8))}
    export.masks = {f"frame_{frame:06d}": mask for frame in (5, 6)}
    export.unlabelled = {f"frame_{frame:06d}" for frame in (3, 4, 7)}
    return export


def labelstudio_export() -> Export:
    """Brush, polygon, rectangle, ellipse, two annotators, skipped, nothing found, nobody looked."""
    export = Export()
    mask, outline = angle()
    tasks: list[dict[str, object]] = []

    def result(kind: str, **value: object) -> dict[str, object]:
        size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
        return {
            "id": "x",
            "type": f"{kind}labels",
            "from_name": "a",
            "value": {f"{kind}labels": ["Polyp"], **value},
        } | size

    def add(name: str, *annotations: dict[str, object], prefix: str = "", **data: object) -> None:
        export.files[f"images/{prefix}{name}.png"] = png(seed=len(tasks))
        data = {"image": f"/data/upload/1/{prefix}{name}.png", **data}
        tasks.append({"id": len(tasks) + 1, "annotations": annotations, "predictions": [], "data": data})

    def done(*results: dict[str, object], **more: object) -> dict[str, object]:
        return {"id": 1, "result": list(results), "was_cancelled": False, "updated_at": "2024-01-01T00:00:00Z", **more}

    percent = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in outline]
    polygon = result("polygon", points=percent)
    painted = spots()
    add("brush", done(result("brush", format="rle", rle=brush_stream(painted))), patient="p3", modality="white light")
    export.masks["brush"] = painted
    add("polygon", done(polygon))
    export.masks["polygon"] = mask
    across, down = WIDTH / 100, HEIGHT / 100
    add(
        "rectangle",
        done(result("rectangle", x=5 / across, y=6 / down, width=20 / across, height=10 / down, rotation=0)),
    )
    export.boxes["rectangle"] = [(5, 6, 25, 16)]
    add(
        "ellipse", done(result("ellipse", x=20 / across, y=15 / down, radiusX=9 / across, radiusY=5 / down, rotation=0))
    )
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((columns + 0.5 - 20) / 9) ** 2 + ((rows + 0.5 - 15) / 5) ** 2 <= 1
    export.masks["ellipse"] = inside.astype(np.uint8)
    later = done(result("brush", format="rle", rle=brush_stream(mask)), updated_at="2024-02-01T00:00:00Z")
    add("two", later, done(result("brush", format="rle", rle=brush_stream(painted))))
    export.masks["two"] = mask
    add("skipped", done(was_cancelled=True))
    add("nobody")
    export.unlabelled |= {"skipped", "nobody"}
    add("clean", done())
    export.negatives.add("clean")
    export.files["project-1.json"] = json.dumps(tasks).encode()
    return export


def sun_export() -> Export:
    """Two positive cases (one frame of two boxes, one without a row) and a negative one of the same number."""
    export = Export()
    part = "sundatabase_positive_part1"
    for case, frame in ((1, 1), (1, 2), (1, 3), (12, 1)):
        export.files[f"{part}/case{case}/a_{frame:04d}.jpg"] = png(seed=frame)
    export.files[f"{part}/annotation_txt/case1.txt"] = b"a_0001.jpg 4,5,14,20,0\na_0002.jpg 1,2,9,9,0 20,10,30,22,0\n"
    export.files[f"{part}/annotation_txt/case12.txt"] = b"a_0001.jpg 0,0,12,11,1\r\n"
    for frame in (1, 2):
        export.files[f"sundatabase_negative_part2/case1/b_{frame:04d}.jpg"] = png(seed=10 + frame)
    export.boxes = {
        "case1_a_0001": [(4, 5, 14, 20)],
        "case1_a_0002": [(1, 2, 9, 9), (20, 10, 30, 22)],
        "case12_a_0001": [(0, 0, 12, 11)],
    }
    export.unlabelled = {"case1_a_0003"}
    export.negatives = {"negative-case1_b_0001", "negative-case1_b_0002"}
    return export


def voc(*objects: tuple[str, int, int, int, int], width: int = WIDTH, height: int = HEIGHT) -> bytes:
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>"
        for name, x0, y0, x1, y1 in objects
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>C:\\x</folder><filename>no.jpg</filename>{size}{boxes}</annotation>".encode()


def polypsset_export() -> Export:
    """Training frames, a validation sequence (one frame without a polyp), a test frame without a file."""
    export = Export()
    export.files["PolypsSet/train2019/Image/1.jpg"] = png(seed=1)
    export.files["PolypsSet/train2019/Annotation/1.xml"] = voc(("adenomatous", 5, 6, 14, 20))
    export.files["PolypsSet/train2019/Image/2.jpg"] = png(seed=2)
    export.files["PolypsSet/train2019/Annotation/2.xml"] = voc(
        ("hyperplastic", 1, 1, 9, 9), ("adenomatous", 20, 9, 31, 30)
    )
    export.files["PolypsSet/val2019/Image/7/12.jpg"] = png(seed=3)
    export.files["PolypsSet/val2019/Annotation/7/12.xml"] = voc()
    export.files["PolypsSet/test2019/Image/3/1.jpg"] = png(seed=4)
    export.boxes = {"train2019_1": [(4, 5, 14, 20)], "train2019_2": [(0, 0, 9, 9), (19, 8, 31, 30)]}
    export.negatives = {"val2019_7_12"}
    export.unlabelled = {"test2019_3_1"}
    return export


def polydeep_export() -> Export:
    """VOC pairs in NBI and WL, and frames without a polyp."""
    export = Export(name="PIBAdb")
    export.files["NBI/JPEGImages/101.jpg"] = png(seed=1)
    export.files["NBI/Annotations/101.xml"] = voc(("polyp", 4, 5, 14, 20))
    export.files["WL/JPEGImages/202.jpg"] = png(seed=2)
    export.files["WL/Annotations/202.xml"] = voc(("polyp", 0, 0, 53, 37))
    export.files["WL/metadata.csv"] = b"polyp,image\nP9,img 202\n"
    export.files["WL/not polyp/303.jpg"] = png(seed=3)
    export.boxes = {"101": [(4, 5, 14, 20)], "202": [(0, 0, 53, 37)]}
    export.negatives = {"303"}
    return export


EXPORTS: dict[str, tuple[Callable[[], Export], ...]] = {
    "coco": (coco_export,),
    "labelme": (labelme_export,),
    "cvat": (cvat_export, cvat_video_export),
    "labelstudio": (labelstudio_export,),
    "sun": (sun_export,),
    "polypsset": (polypsset_export,),
    "polydeep": (polydeep_export,),
}


def read_all(reader: Reader, export: Export | MemoryTree) -> tuple[dict[str, ImportedFrame], Ledger]:
    """Every frame by its name, and the ledger, with the frames' remarks as the writer puts them there."""
    ledger = Ledger()
    frames = list(reader.frames(export.tree() if isinstance(export, Export) else export, ledger))
    for frame in frames:
        for remark in frame.remarks:
            ledger.remark(frame.origin, remark.code, remark.what)
    by_name = {frame.name: frame for frame in frames}
    assert len(by_name) == len(frames)
    return by_name, ledger


def codes(ledger: Ledger) -> list[str]:
    return sorted(line.code for line in ledger.lines)


def differences(frames: Mapping[str, ImportedFrame], export: Export) -> list[str]:
    """The frames that are missing, too many, or have another label than was painted (masks to the pixel, boxes to
    1e-9 px); each frame's picture is read as well."""
    return sorted({*(set(frames) ^ export.frames()), *(n for n, f in frames.items() if not _as_painted(n, f, export))})


def _as_painted(name: str, frame: ImportedFrame, export: Export) -> bool:
    size = frame.read().pixels.shape[:2]
    if isinstance(frame.label, MaskLabel):
        return name in export.masks and np.array_equal(frame.label.read(size), export.masks[name])
    if isinstance(frame.label, BoxLabel):
        found = np.array([(box.x0, box.y0, box.x1, box.y1) for box in frame.label.boxes])
        painted = np.array(export.boxes.get(name, []))
        return found.shape == painted.shape and np.allclose(found, painted, rtol=0, atol=1e-9)
    return name in (export.negatives if isinstance(frame.label, NegativeLabel) else export.unlabelled)
