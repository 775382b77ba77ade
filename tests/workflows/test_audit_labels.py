"""Labels as they come back: masks under several names, an annotation tool's files, and what is told of the rest."""

import json
import shutil

import cv2
import numpy as np
import pytest
from support.painted import HEIGHT, WIDTH, paint, write_frames

from polypda.errors import DataError
from polypda.reporting.correctable import ToCorrect, labelme_document
from polypda.workflows.audit.labels import read_labels
from polypda.workflows.audit.plan import AuditPlan, Drawn, Stratum


@pytest.fixture
def frames(tmp_path):
    """Three exported images and the frames that they show."""
    return {f"audit-{n:03d}.png": f for n, f in enumerate(write_frames(tmp_path / "target", 3), 1)}


def test_masks_are_found_under_their_images_names(tmp_path, frames):
    labels = tmp_path / "labels" / "masks"
    labels.mkdir(parents=True)
    shutil.copyfile(tmp_path / "target" / "masks" / "000.png", labels / "audit-001_mask.png")
    cv2.imwrite(str(labels / "audit-002.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    found = read_labels(tmp_path / "labels", frames)
    assert set(found.masks) == {"audit-001.png", "audit-002.png"}
    assert (found.masks["audit-001.png"] == paint(0)[1] // 255).all()
    assert not found.masks["audit-002.png"].any(), "black throughout: no polyp"


def test_outlines_of_a_tool_are_read_and_boxes_give_no_mask(tmp_path, frames):
    labels = tmp_path / "labels"
    labels.mkdir()
    square = np.zeros((HEIGHT, WIDTH), bool)
    square[20:50, 20:50] = True
    sheet = labelme_document(ToCorrect("audit-001.png", square))
    (labels / "audit-001.json").write_text(json.dumps(sheet))
    (labels / "audit-002.json").write_text(json.dumps({**sheet, "imagePath": "audit-002.png", "shapes": []}))
    box = {"label": "polyp", "points": [[5, 5], [30, 30]], "shape_type": "rectangle"}
    (labels / "audit-003.json").write_text(json.dumps({**sheet, "imagePath": "audit-003.png", "shapes": [box]}))
    found = read_labels(labels, frames)
    assert set(found.masks) == {"audit-001.png", "audit-002.png"} and found.boxes_only == ("audit-003.png",)
    assert found.masks["audit-001.png"].sum() == pytest.approx(900, rel=0.07)
    assert not found.masks["audit-002.png"].any()


def test_what_is_no_label_is_refused_with_a_remedy(tmp_path, frames):
    with pytest.raises(DataError, match="E_AUDIT_LABELS"):
        read_labels(tmp_path / "nowhere", frames)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="E_AUDIT_LABELS"):
        read_labels(tmp_path / "empty", frames)
    (tmp_path / "strange").mkdir()
    shutil.copyfile(tmp_path / "target" / "masks" / "000.png", tmp_path / "strange" / "polyp7.png")
    with pytest.raises(DataError, match=r"E_AUDIT_FRAMES(.|\n)*polyp7"):
        read_labels(tmp_path / "strange", frames)


def test_a_mask_of_another_size_is_told_not_scaled(tmp_path, frames):
    (tmp_path / "small").mkdir()
    for name in ("audit-001.png", "audit-002.png"):
        cv2.imwrite(str(tmp_path / "small" / name), np.full((HEIGHT // 2, WIDTH // 2), 255, np.uint8))
    found = read_labels(tmp_path / "small", frames)
    assert not found.masks and len(found.left_out) == 2 and "mask 48×36" in found.left_out[0][1]


def test_a_plan_is_read_as_it_was_written(tmp_path):
    plan = AuditPlan(
        "run", "haining", "test", {"source-only": "a", "minent": "b"}, 0, (Stratum(30, 5),),
        (Drawn("audit-001.png", "f1", 0),), 0.05, 0.1,
    )  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(plan.as_json()))
    assert AuditPlan.read(tmp_path / "plan.json") == plan and plan.population == 30
    text = json.dumps(plan.as_json())
    for changed in ("30", "haining", "f1", "audit/2", "sha256"):
        (tmp_path / "plan.json").write_text(text.replace(changed, changed[:-1] + chr(ord(changed[-1]) ^ 1), 1))
        with pytest.raises(DataError, match="E_AUDIT_PLAN"):
            AuditPlan.read(tmp_path / "plan.json")
    former = {**plan.as_json(), "schema": "polypda-audit/1"}
    del former["sha256"]
    (tmp_path / "plan.json").write_text(json.dumps(former))
    assert AuditPlan.read(tmp_path / "plan.json") == plan  # labels of a plan from before are not lost
    (tmp_path / "plan.json").write_text('{"schema": "polypda-audit/0"}')
    with pytest.raises(DataError, match="E_AUDIT_PLAN"):
        AuditPlan.read(tmp_path / "plan.json")
