"""Exports of annotation tools with identifiers in every field that such a tool fills with words."""

import json
from dataclasses import dataclass

from support.planted_identifiers import BIRTH_ISO, FIRST_NAME, NAME, NUMBER, WHOLE, jpeg

POLYGON = [(300, 200), (380, 210), (380, 260), (310, 260)]
"""Corners, px."""


@dataclass(frozen=True)
class PlantedExport:
    """files: path → bytes. format_name: as ``--format`` names it."""

    format_name: str
    files: dict[str, bytes]


def coco(pixels, height: int, width: int) -> PlantedExport:
    """Names in licences, contributors, coordinates, categories' parents, attributes and in keys that nobody knows."""
    image = f"{NAME}_{FIRST_NAME}/{NUMBER}.jpg"
    content = {
        "info": {"contributor": WHOLE, "description": WHOLE, "date_created": BIRTH_ISO, "url": f"file:///{NAME}"},
        "licenses": [{"id": 1, "name": WHOLE, "url": NAME}],
        "categories": [{"id": 1, "name": "polyp", "supercategory": WHOLE}],
        "images": [
            {"id": 7, "file_name": image, "width": width, "height": height, "coco_url": NAME,
             "date_captured": BIRTH_ISO, "patient_name": WHOLE, "extra": {"user_tags": [WHOLE]}},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "bbox": [300, 200, 80, 60], "area": 4800,
             "segmentation": [[float(value) for corner in POLYGON for value in corner]],
             "attributes": {"annotator": WHOLE}, "metadata": WHOLE},
        ],
    }  # fmt: skip
    files = {f"images/{image}": jpeg(pixels), f"annotations/instances_{NAME}.json": _json(content)}
    return PlantedExport("coco", files)


def labelme(pixels, height: int, width: int) -> PlantedExport:
    """Names in the path of the image, in descriptions, flags, groups and other keys."""
    content = {
        "version": "5.4.1",
        "flags": {WHOLE: True},
        "shapes": [
            {"label": "polyp", "points": [list(corner) for corner in POLYGON], "group_id": None, "description": WHOLE,
             "shape_type": "polygon", "flags": {NAME: False}},
        ],
        "imagePath": f"{NUMBER}.jpg",
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
        "lineColor": WHOLE,
        "patient": {"name": WHOLE, "born": BIRTH_ISO},
    }  # fmt: skip
    folder = f"{NAME}/{FIRST_NAME} {BIRTH_ISO}"
    return PlantedExport("labelme", {f"{folder}/{NUMBER}.jpg": jpeg(pixels), f"{folder}/{NUMBER}.json": _json(content)})


def cvat(pixels, height: int, width: int) -> PlantedExport:
    """Names in the task, its owner and assignee, the subset, the source and attributes."""
    corners = ";".join(f"{x}.00,{y}.00" for x, y in POLYGON)
    person = f"<username>{NAME}</username><email>{FIRST_NAME}.{NAME}@example.org</email>"
    text = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>7</id><name>{WHOLE}</name><size>1</size><mode>annotation</mode>
<subset>{NAME}</subset><owner>{person}</owner><assignee>{person}</assignee><created>{BIRTH_ISO}</created>
<labels><label><name>polyp</name><type>any</type><attributes><attribute><name>{NAME}</name><values>{WHOLE}</values>
</attribute></attributes></label></labels></task><dumped>{BIRTH_ISO}</dumped></meta>
<image id="0" name="{NAME}/{NUMBER}.jpg" subset="{NAME}" task_id="7" width="{width}" height="{height}">
<polygon label="polyp" source="{WHOLE}" occluded="0" points="{corners}" z_order="0">
<attribute name="{NAME}">{WHOLE}</attribute></polygon>
<tag label="{WHOLE}" source="manual"></tag></image></annotations>"""
    return PlantedExport("cvat", {f"images/{NAME}/{NUMBER}.jpg": jpeg(pixels), "annotations.xml": text.encode()})


def labelstudio(pixels, height: int, width: int) -> PlantedExport:
    """Names in the task's data, who completed it, comments, choices, text areas and the uploaded file's name."""
    percent = [[100 * x / width, 100 * y / height] for x, y in POLYGON]
    upload = f"1a2b3c4d-{NUMBER}_{NAME}.jpg"
    size = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
    result = [
        {**size, "id": NAME, "type": "polygonlabels", "from_name": NAME, "origin": "manual", "meta": {"text": [WHOLE]},
         "value": {"points": percent, "closed": True, "polygonlabels": ["polyp"]}},
        {**size, "id": "t", "type": "textarea", "from_name": "comment", "value": {"text": [WHOLE]}},
    ]  # fmt: skip
    task = {
        "id": 7,
        "file_upload": upload,
        "data": {"image": f"/data/upload/1/{upload}", "patient": WHOLE, "born": BIRTH_ISO},
        "meta": {"name": WHOLE},
        "updated_by": f"{FIRST_NAME}.{NAME}@example.org",
        "annotations": [
            {"id": 1, "completed_by": {"email": f"{NAME}@example.org", "first_name": FIRST_NAME, "last_name": NAME},
             "result": result, "was_cancelled": False, "created_at": f"{BIRTH_ISO}T10:11:12Z"},
        ],
        "comments": [WHOLE],
    }  # fmt: skip
    files = {f"images/{upload}": jpeg(pixels), f"project-{NAME}.json": _json([task])}
    return PlantedExport("labelstudio", files)


EXPORTS = {made.__name__: made for made in (coco, labelme, cvat, labelstudio)}


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
