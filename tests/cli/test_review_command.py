"""`polypda review` from a finished run to the next adaptation: build, import, report, adapt --accepted."""

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.painted import write_cohort
from support.reviews import decisions_document, write_decisions
from typer.testing import CliRunner

from polypda.cli.main import app
from polypda.cohorts.images import read_mask
from polypda.errors import DataError, PolypdaError
from polypda.evaluation.cases.evaluation_file import read_evaluation
from polypda.integrity import record as record_checksum
from polypda.integrity import seal
from polypda.reporting.report_folders import refuse_existing
from polypda.review.folder import FORMER
from polypda.review.record import find_record, read_record
from polypda.training.pseudo_labels import read_facts

TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "2", "--adapt-steps", "2"]
TINY += ["--no-guard", "--device", "cpu", "--overlays", "0", "--parts", "none"]


def call(folder: Path, *words) -> tuple[str, str, str]:
    """Run a command in a folder; (error code or "", standard output, standard error)."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(app, [str(word) for word in words], env={"POLYPDA_CACHE": str(folder / "cache")})
    finally:
        os.chdir(before)
    if done.exception is not None and not isinstance(done.exception, (PolypdaError, SystemExit)):
        raise done.exception
    code = done.exception.code if isinstance(done.exception, PolypdaError) else ""
    return code or ("usage" if done.exit_code else ""), done.stdout, done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with data/ and a finished run/."""
    folder = tmp_path_factory.mktemp("finished")
    for number, cohort in enumerate(("zju2", "haining")):
        write_cohort(folder / "data", cohort, count=18, tint=(170 - 10 * number, 90 + 20 * number, 70))
    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--data-root", "data", "--method", "adaptsegnet"]
    code, _, err = call(folder, *adapt, "--out", "run", *TINY)
    assert not code, err
    return folder


@pytest.fixture
def index(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "data").symlink_to(finished / "data")
    return tmp_path


def build(index: Path, *words, run: str = "run"):
    code, out, err = call(index, "review", "build", run, "--out", "page", "--data-root", "data", *words)
    assert not code, err
    assert out.splitlines()[-1] == "page/index.html"
    return read_record(index / "page")


def test_a_finished_run_becomes_a_folder(index: Path) -> None:
    record = build(index, "--every-frame")
    assert record.referenced and record.part == "test" and record.order == "worst" and len(record.cases) == 5
    own = read_evaluation(index / "run" / "report").cases
    after = own[(own["model"] == "adaptsegnet") & (own["role"] == "target")].set_index("frame")
    for case in record.cases:
        assert case.figures.dice_after == pytest.approx(after.loc[case.frame, "dice"])
        assert case.trainings["after"] == after.loc[case.frame, "training"] and case.split == "test"
    worths = [case.figures.dice_after for case in record.cases]
    assert worths == sorted(worths)
    shown = json.loads((index / "page" / "index.html").read_text().split('id="data">')[1].split("</script>")[0])
    assert all(one["reference"] for one in shown["cases"])
    assert find_record(index / "run", record.review).is_dir()
    again = ("review", "build", "run", "--out", "page", "--data-root", "data")
    code, _, _ = call(index, *again)
    assert code == "E_REPORT_EXISTS"
    (index / "page" / "decisions-1.json").write_text("what a reviewer saved")
    assert call(index, *again, "--force")[0] == "E_REPORT_EXISTS"
    (index / "page" / "decisions-1.json").unlink()
    assert len(build(index, "--force", "--cases", "2", "--order", "disagreement").cases) == 2


def test_the_way_out_of_a_folder_that_exists_is_named_and_works(index: Path) -> None:
    words = ("build", "run", "--out", "page", "--data-root", "data", "--no-panels", "--cases", "1")
    build(index, "--cases", "1", "--no-panels")
    with pytest.raises(DataError, match="E_REPORT_EXISTS") as raised:
        refuse_existing(index / "page", former=FORMER, forcible=True)
    assert "--force" in raised.value.fix
    assert not call(index, "review", *words, "--force")[0]
    (index / "page" / "index.html").unlink()  # something else than a review
    with pytest.raises(DataError, match="E_REPORT_EXISTS") as raised:
        refuse_existing(index / "page", former=FORMER, forcible=True)
    assert "--force" not in raised.value.fix, "it would be refused as well"
    assert call(index, "review", *words, "--force")[0] == "E_REPORT_EXISTS"


def test_a_reviewer_who_answered_nothing_is_left_out_and_named(index: Path) -> None:
    record = build(index, "--every-frame")
    words = ("review", "import", "--run", "run", "--data-root", "data")
    for name, answers in {
        "Li": [{"decision": "accept"}] * 5,
        "Wu": [{"decision": "accept"}] * 3 + [{"decision": "reject"}] * 2,
        "Nobody": [{"ms": 900}],
        "Noting": [{"note": "blurred"}],
    }.items():
        write_decisions(index / f"{name}.json", decisions_document(record, answers, reviewer=name))
    assert call(index, *words, "Nobody.json")[0] == "E_REVIEW_EMPTY"
    code, out, err = call(index, *words, "Li.json", "Wu.json", "Nobody.json", "Noting.json")
    assert not code and "3 reviewers (Li, Noting, Wu)" in err and "Cohen's kappa" in err, err
    assert "Nobody answered nothing: the file is left out." in err and "Noting decided no case" in err
    assert len(list((index / out.splitlines()[-1] / "files").iterdir())) == 3


def test_training_frames_are_shown_without_any_label(index: Path) -> None:
    record = build(index, "--part", "train")
    assert not record.referenced and {case.split for case in record.cases} == {"train"}
    assert all(case.figures is None for case in record.cases) and record.order == "disagreement"
    shown = json.loads((index / "page" / "index.html").read_text().split('id="data">')[1].split("</script>")[0])
    assert all(one["reference"] is None for one in shown["cases"])


def test_what_cannot_be_built_is_told(index: Path) -> None:
    def refused(*words) -> str:
        code, _, _ = call(index, "review", "build", *words, "--out", "page", "--data-root", "data")
        assert not (index / "page").exists()
        return code

    assert refused("nowhere") == "E_RUN_MISSING"
    assert refused("run", "run") == "E_REVIEW_RUNS"
    assert refused("run", "--order", "best") == "E_OPTION"
    assert refused("run", "--part", "train", "--order", "worst") == "E_REVIEW_ORDER"
    assert refused("run", "--cases", "0") == "E_REVIEW_COUNT"
    assert refused("run", "--blinded", "--order", "improved") == "E_REVIEW_ORDER"
    assert call(index, "review", "build", "run", "--out", "page", "--data-root", "elsewhere")[0] == "E_COHORT_ABSENT"
    shutil.rmtree(index / "run" / "stages" / "source-only")
    assert refused("run") == "E_MODEL_NOT_KEPT"  # what it would be trained from is gone since the run ended


def test_decisions_become_tables_pseudo_labels_and_tasks(index: Path) -> None:
    record = build(index, "--every-frame")
    words = ["accept", "reject", "accept", "flag", "accept"]
    answers = [{"decision": word, "reasons": ["too_large"] if word == "reject" else []} for word in words]
    write_decisions(index / "li.json", decisions_document(record, answers))
    code, out, err = call(index, "review", "import", "li.json", "--run", "run", "--data-root", "data")
    assert not code and "3 accept, 1 reject, 1 flag" in err, err
    folder = index / out.splitlines()[-1]
    accepted = pd.read_csv(folder / "accepted.csv", dtype=str)
    assert accepted["frame"].tolist() == [record.cases[n].frame for n in (0, 2, 4)]
    assert read_mask(folder / accepted["mask"][0]).shape == (72, 96)
    relabel = pd.read_csv(folder / "relabel.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    assert relabel["decision"].tolist() == ["reject", "flag"] and relabel["reasons"][0] == "too_large"
    for tool in ("coco", "labelme", "cvat"):
        assert len(list((folder / "relabel" / tool / "images").glob("*.png"))) == 2
    assert read_evaluation(index / "run" / "report").cases["frame"].nunique() == 5, "nothing left the test set"

    changed = decisions_document(record, answers[:1], reviewer="Wu")
    write_decisions(index / "wu.json", {**changed})
    code, out, err = call(index, "review", "import", "wu.json", "--run", "run", "--data-root", "data")
    assert not code and "2 reviewers (Li, Wu)" in err and "Gwet's AC1" in err, "the former file still counts"
    code, out, err = call(index, "report", "run", "--out", "report", "--no-overlays")
    page = (index / "report" / "index.html").read_text()
    assert not code and "Judged by clinicians" in page and "Gwet" in page and "too large" in page, err


def redrawn(folder: Path, tool: str, stem: str) -> Path:
    """A folder of relabel/ as its tool saves it after one image was drawn anew."""
    points = [[20, 20], [60, 18], [70, 40], [50, 60], [22, 50]]
    flat = [value for point in points for value in point]
    if tool == "coco":
        document = json.loads((folder / tool / "annotations.json").read_text())
        image = next(one["id"] for one in document["images"] if one["file_name"].startswith(stem))
        document["annotations"] = [one for one in document["annotations"] if one["image_id"] != image]
        drawn = {"id": 999, "image_id": image, "category_id": 1, "iscrowd": 0, "segmentation": [flat]}
        document["annotations"].append(drawn | {"bbox": [20, 18, 50, 42], "area": 1500})
        (folder / tool / "annotations.json").write_text(json.dumps(document))
    elif tool == "labelme":
        shape = {"label": "polyp", "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}
        document = {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": f"{stem}.png", "imageData": None}
        (folder / tool / "images" / f"{stem}.json").write_text(
            json.dumps(document | {"imageHeight": 72, "imageWidth": 96})
        )
    else:
        tree = ElementTree.parse(folder / tool / "annotations.xml")
        image = next(one for one in tree.getroot().iter("image") if one.get("name", "").startswith(stem))
        image[:] = []
        text = ";".join(f"{x},{y}" for x, y in points)
        ElementTree.SubElement(image, "polygon", {"label": "polyp", "points": text, "occluded": "0"})
        tree.write(folder / tool / "annotations.xml")
    return folder / tool


def test_outlines_are_corrected_in_three_tools_and_come_back(index: Path) -> None:
    record = build(index, "--every-frame", "--no-panels")
    write_decisions(index / "li.json", decisions_document(record, [{"decision": "reject"}] * 4))
    words = ("--run", "run", "--data-root", "data")
    folder = index / call(index, "review", "import", "li.json", *words)[1].splitlines()[-1]
    shutil.copytree(folder / "relabel", index / "away")
    stems = [f"{case.frame}-{case.case[:6]}" for case in record.cases]
    for number, tool in enumerate(("coco", "labelme", "cvat")):
        nothing = "E_AUDIT_LABELS" if tool == "labelme" else "E_REVIEW_CORRECTED"  # it gets no file of an empty frame
        assert call(index, "review", "correct", f"away/{tool}", *words)[0] == nothing
        code, out, err = call(index, "review", "correct", redrawn(index / "away", tool, stems[number]), *words)
        assert not code and out.strip().endswith("accepted.csv"), err
        assert f"1 corrected: {record.cases[number].frame}" in err and f"{3 - number} to label anew" in err
    accepted = pd.read_csv(folder / "accepted.csv", dtype=str).set_index("frame")
    assert set(accepted["model"]) == {"corrected by hand"} and len(accepted) == 3
    for case in record.cases[:3]:
        mask = read_mask(folder / accepted.loc[case.frame, "mask"])
        assert mask.shape == (72, 96) and mask[40, 40] and 1300 < mask.sum() < 1800
    (folder / "relabel" / "labelme" / "images" / "begun.json").write_text("{}")
    code, _, err = call(index, "review", "import", "li.json", *words)
    assert not code and "3 corrected by hand" in err and "relabel-edited-1" in err
    assert (folder.parent / "relabel-edited-1" / "labelme" / "images" / "begun.json").is_file()
    assert call(index, "review", "correct", "nowhere", *words)[0] == "E_REVIEW_FILES"
    assert not call(index, "runs", "verify", "run")[0]
    table = (folder / "merged.csv").read_bytes()
    (folder / "merged.csv").write_bytes(table[:-2] + bytes([table[-2] ^ 1]) + table[-1:])
    code, out, _ = call(index, "runs", "verify", "run")
    assert code == "E_RUN_DAMAGED" and "merged.csv is not what was written" in out
    (folder / "merged.csv").write_bytes(table)
    build(index, "--every-frame", "--no-panels", "--force")
    assert len(pd.read_csv(folder / "accepted.csv")) == 3, "building the same review again loses nothing"


def test_a_frame_that_was_exchanged_is_found_by_the_folder_that_came_back(index: Path) -> None:
    record = build(index, "--no-panels")
    write_decisions(index / "li.json", decisions_document(record, [{"decision": "accept"}]))
    words = ("review", "import", "li.json", "--run", "run", "--data-root", "data", "--page")
    assert not call(index, *words, "page")[0]
    frame = next((index / "page" / "frames").iterdir())
    frame.write_bytes(frame.read_bytes().replace(b"A", b"B", 1))
    assert call(index, *words, "page")[0] == "E_REVIEW_TOUCHED"
    (index / "run" / "reviews" / record.review / "masks" / f"{record.cases[0].case}.png").write_bytes(b"")
    assert call(index, *words[:-1])[0] == "E_REVIEW_RECORD"
    build(index, "--no-panels", "--force")
    assert not call(index, *words, "page")[0], "building it again mends the record"


def test_bad_files_change_nothing(index: Path) -> None:
    record = build(index)
    good = decisions_document(record, [{"decision": "accept"}])
    write_decisions(index / "good.json", good)
    assert not call(index, "review", "import", "good.json", "--run", "run", "--data-root", "data")[0]
    imported = find_record(index / "run", record.review) / "imported"
    before = {path: path.read_bytes() for path in imported.rglob("*") if path.is_file()}
    (index / "half.json").write_text(json.dumps(good)[:60])
    write_decisions(index / "edited.json", {**good, "reviewer": "Wu"})
    write_decisions(index / "other.json", decisions_document(record, [], review="f" * 12, reviewer="Wu"))
    write_decisions(index / "again.json", decisions_document(record, [{"decision": "reject"}]))
    write_decisions(index / "wu.json", decisions_document(record, [{"decision": "reject"}], reviewer="Wu"))
    write_decisions(index / "wu2.json", decisions_document(record, [{"decision": "flag"}], reviewer="WU "))
    for code, *files in [
        ("E_REVIEW_UNREADABLE", "wu.json", "half.json"),
        ("E_REVIEW_EDITED", "wu.json", "edited.json"),
        ("E_REVIEW_OTHER", "wu.json", "other.json"),
        ("E_REVIEW_UNKNOWN", "other.json"),
        ("E_REVIEW_TWICE", "wu.json", "wu2.json"),
        ("E_REVIEW_TWICE", "again.json"),
        ("E_REVIEW_UNREADABLE", "nowhere.json"),
    ]:
        assert call(index, "review", "import", *files, "--run", "run", "--data-root", "data")[0] == code
        assert {path: path.read_bytes() for path in imported.rglob("*") if path.is_file()} == before
    later = decisions_document(record, [{"decision": "reject"}], exported="2027-01-01T00:00:00.000Z")
    write_decisions(index / "later.json", later)
    words = ("review", "import", "later.json", "--run", "run", "--data-root", "data")
    assert call(index, *words)[0] == "E_REVIEW_TWICE"
    code, _, err = call(index, *words, "--supersede")
    assert not code and "1 reject" in err


def test_predictions_that_are_newer_than_the_page_are_refused(index: Path) -> None:
    record = build(index)
    write_decisions(index / "li.json", decisions_document(record, [{"decision": "accept"}]))
    (other,) = (index / "run" / "stages" / "start").glob("step-*/segmenter.safetensors")
    shutil.copy(other, index / "run" / "adapted.safetensors")
    record_checksum(index / "run" / "adapted.safetensors")
    code, _, _ = call(index, "review", "import", "li.json", "--run", "run", "--data-root", "data")
    assert code == "E_REVIEW_STALE"
    assert not (find_record(index / "run", record.review) / "imported").exists()
    assert call(index, "review", "build", "run", "--out", "new", "--data-root", "data")[0] == "E_REVIEW_STALE"


def test_accepted_training_frames_teach_the_next_adaptation(index: Path) -> None:
    record = build(index, "--part", "train", "--every-frame")
    write_decisions(index / "li.json", decisions_document(record, [{"decision": "accept"}] * 3))
    _, out, _ = call(index, "review", "import", "li.json", "--run", "run", "--data-root", "data")
    accepted = index / out.splitlines()[-1] / "accepted.csv"
    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--data-root", "data", "--accepted", accepted, *TINY]
    assert call(index, *adapt, "--method", "adaptsegnet", "--out", "next")[0] == "E_ACCEPTED_METHOD"
    method = ["--method", "adaptsegnet+self-training", "-O", "negative_to=0", "-O", "polyp_from=0.99"]
    code, out, err = call(index, *adapt, *method, "--out", "next")
    assert not code, err
    facts = read_facts(index / "next" / "stages" / "adaptsegnet+self-training")
    frames = sorted(path.stem for path in (index / "data" / "haining" / "images").iterdir())[:12]
    trained_on = {frames[number] for number in facts.indices}
    assert {case.frame for case in record.cases[:3]} <= trained_on
    labels = np.load(index / "next" / "stages" / "adaptsegnet+self-training" / "pseudo-labels.npy")
    table = pd.read_csv(accepted, dtype=str)
    for frame, mask in zip(table["frame"], table["mask"], strict=True):
        own = labels[facts.indices.index(frames.index(frame))]
        share = float((own == 1).sum() / (own != 255).sum())
        assert share == pytest.approx(float(read_mask(accepted.parent / mask)[:, 6:].mean()), abs=0.05)
    run_metadata = read_evaluation(index / "next" / "report").run_metadata
    assert "3 frames of review" in run_metadata.accepted and "REVIEWERS ACCEPTED" in run_metadata.labels_text
    assert "Reviewers looked at" in (index / "next" / "report" / "index.html").read_text()
    assert (index / "next" / "accepted" / "accepted.csv").is_file()


def test_accepted_held_out_frames_are_never_learnt(index: Path) -> None:
    record = build(index)
    write_decisions(index / "li.json", decisions_document(record, [{"decision": "accept"}]))
    _, out, _ = call(index, "review", "import", "li.json", "--run", "run", "--data-root", "data")
    folder = index / out.splitlines()[-1]
    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--data-root", "data", "--out", "next", *TINY]
    adapt += ["--method", "adaptsegnet+self-training"]
    assert call(index, *adapt, "--accepted", folder / "accepted.csv")[0] == "E_ACCEPTED_HELD_OUT"
    for name, what in (("accepted.csv", record.cases[0].frame.encode()), ("checksums.sha256", b"accepted.csv")):
        data = (folder / name).read_bytes()
        place = data.index(what) + 3
        (folder / name).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert call(index, *adapt, "--accepted", folder / "accepted.csv")[0] == "E_ACCEPTED_FILE"
        (folder / name).write_bytes(data)
    next((folder / "accepted").iterdir()).write_bytes(b"")
    assert call(index, *adapt, "--accepted", folder / "accepted.csv")[0] == "E_ACCEPTED_MASK"
    assert call(index, *adapt, "--accepted", folder / "relabel.csv")[0] in ("E_ACCEPTED_FILE", "E_ACCEPTED_EMPTY")
    assert call(index, *adapt, "--accepted", index / "nowhere.csv")[0] == "E_ACCEPTED_FILE"
    assert not (index / "next").exists()


def test_a_blinded_review_is_opened_when_it_comes_back(index: Path) -> None:
    record = build(index, "--blinded", "--every-frame")
    answers = [{"decision": "accept", "preference": "a"}] * 4 + [{"decision": "accept"}]  # the last names no outline
    write_decisions(index / "li.json", decisions_document(record, answers))
    code, out, err = call(index, "review", "import", "li.json", "--run", "run", "--data-root", "data")
    assert not code and "better after:" in err
    accepted = pd.read_csv(index / out.splitlines()[-1] / "accepted.csv", dtype=str)
    key = json.loads((find_record(index / "run", record.review) / "key.json").read_text())["a_is"]
    named = {"before": "source-only", "after": "adaptsegnet"}
    assert accepted["model"].tolist() == [named[key[case.case]] for case in record.cases[:4]]


def write_predictions(folder: Path, data: Path, names: list[str]) -> None:
    """As `polypda predict` leaves them: a table, masks, 16-bit maps of some."""
    (folder / "masks").mkdir(parents=True)
    (folder / "probabilities").mkdir()
    rows = ["input,name,mask"]
    for number, name in enumerate(names):
        mask = read_mask(data / "masks" / f"{name}.png")
        Image.fromarray(mask * 255).save(folder / "masks" / f"{name}.png")
        rows.append(f"{data / 'images' / name}.png,{name},masks/{name}.png")
        if number:
            maps = np.where(mask > 0, 60000, 4000 * number).astype(np.uint16)
            Image.fromarray(maps).save(folder / "probabilities" / f"{name}.png")
    (folder / "predictions.csv").write_text("\n".join(rows) + "\n")
    (folder / "prediction.json").write_text(json.dumps({"settings": {"model": "ab" * 32}}))


def test_predictions_of_one_model_are_judged_likewise(index: Path) -> None:
    names = sorted(path.stem for path in (index / "data" / "haining" / "masks").iterdir())[:3]
    write_predictions(index / "predicted", index / "data" / "haining", names)
    record = build(index, "--order", "uncertain", run="predicted")
    assert not record.referenced and [case.frame for case in record.cases][:2] == names[:0:-1]
    assert record.models == {"before": "", "after": "model"} and record.cases[0].trainings["after"] == "ab" * 6
    words = ("review", "build", "predicted", "--images", "data/haining/images", "--no-panels", "--out", "imaged")
    assert "decisions-….json --run predicted --images data/haining/images" in call(index, *words)[2]
    html = (index / "page" / "index.html").read_text()
    assert "name_two_lone" in html and "welcome_lone" in html
    write_decisions(index / "li.json", decisions_document(record, [{"decision": "accept"}, {"decision": "reject"}]))
    code, out, err = call(index, "review", "import", "li.json", "--run", "predicted")
    assert not code, err
    folder = index / out.splitlines()[-1]
    mask = read_mask(folder / pd.read_csv(folder / "accepted.csv", dtype=str)["mask"][0])
    whole = read_mask(index / "data" / "haining" / "masks" / f"{names[2]}.png")
    assert np.count_nonzero(mask & whole) / np.count_nonzero(whole) > 0.95
    assert len(list((folder / "relabel" / "coco" / "images").iterdir())) == 1
    seal(index / "predicted")
    for name in ("prediction.json", "predictions.csv", f"masks/{names[1]}.png", f"probabilities/{names[1]}.png"):
        path = index / "predicted" / name
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert call(index, "review", "build", "predicted", "--out", "once-more")[0] == "E_REVIEW_PREDICTIONS", name
        path.write_bytes(data)
    (index / "predicted" / "checksums.sha256").unlink()
    for shape in ((72, 96), (20, 30)):
        Image.fromarray(np.zeros(shape, np.uint8)).save(index / "predicted" / "masks" / f"{names[0]}.png")
        assert call(index, "review", "import", "li.json", "--run", "predicted")[0] == "E_REVIEW_STALE"

    def refused(*words) -> str:
        return call(index, "review", "build", "predicted", "--out", "again", *words)[0]

    assert refused("--blinded") == "E_OPTION"
    assert refused("--order", "worst") == refused("--order", "disagreement") == "E_REVIEW_ORDER"
    assert refused("--images", index / "li.json") == "E_REVIEW_IMAGE"
    shutil.rmtree(index / "predicted" / "probabilities")
    assert refused("--order", "uncertain") == "E_REVIEW_ORDER"
    (index / "predicted" / "masks" / f"{names[0]}.png").unlink()
    assert refused() == "E_REVIEW_PREDICTIONS"
    assert not (index / "again").exists()
