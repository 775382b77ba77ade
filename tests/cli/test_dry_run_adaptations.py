"""What cannot work is told before anything is trained, and what the user permitted is learnt and said."""

import json

import pytest
from support.painted import write_cohort

from polypda.evaluation.cases.evaluation_file import read_evaluation

TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "2", "--adapt-steps", "2"]
PAIR = ["adapt", "--source", "zju2", "--target", "haining", "--data-root", "data", "--device", "cpu", "--overlays", "1"]


@pytest.fixture
def root(tmp_path):
    for cohort, tint in (("zju2", (170, 90, 70)), ("haining", (90, 120, 170))):
        write_cohort(tmp_path / "data", cohort, count=24, tint=tint)
    return tmp_path / "data"


def options(*pairs):
    return [word for pair in pairs for word in ("-O", pair)]


@pytest.mark.parametrize(
    ("method", "given", "code"),
    [
        ("mic", options("mask_block=64"), "E_"),
        ("fcan", options("stylize=true", "aan_style_weights=1,2"), "E_STYLE_LAYERS"),
        ("fcn-wild", options("frame_groups=(?P<zju>^zju2/)"), "E_PRIOR_GROUP"),
        ("adda", options("source_features=nowhere.safetensors"), "E_"),
        ("adaptsegnet", options("discriminator_layers=8"), "E_"),
        ("adaptsegnet-feature", options("tap=nowhere"), "E_METHOD_OPTION"),
    ],
)
def test_what_cannot_work_is_told_before_the_first_step(polypda, root, tmp_path, method, given, code):
    status, _, err = polypda(*PAIR, *TINY, "--method", method, *given, "--out", "run")
    assert status in (2, 3) and code in err, err
    assert "Traceback" not in err and not list((tmp_path / "run").rglob("events.jsonl"))


def test_a_target_of_one_frame_is_told_before_the_first_step(polypda, root, tmp_path):
    table = root / "haining" / "frames.csv"
    kept = [line for line in table.read_text().splitlines() if not line.endswith(",train") or line.startswith("000,")]
    table.write_text("\n".join(kept) + "\n")
    for path in (root / "haining").glob("*/*.png"):
        if not any(line.startswith(f"{path.stem},") for line in kept):
            path.unlink()
    status, _, err = polypda(*PAIR, *TINY, "--method", "minent", "--out", "run")
    assert status == 3 and "E_TARGET_FRAMES" in err, err
    assert not list((tmp_path / "run").rglob("events.jsonl"))


def test_permitted_target_labels_teach_fcan_and_every_table_says_so(polypda, root, tmp_path):
    semi = ["--method", "fcan", *options("lambda_target_seg=1", "discriminator_width=4")]
    status, _, err = polypda(*PAIR, *TINY, *semi, "--out", "refused")
    assert status == 2 and "E_TARGET_LABELS" in err and not (tmp_path / "refused").exists()

    status, _, err = polypda(*PAIR, *TINY, *semi, "--target-labels", "--out", "run")
    assert status == 0, err
    events = (tmp_path / "run" / "stages" / "fcan" / "events.jsonl").read_text().splitlines()
    assert all("target_" in " ".join(json.loads(line)["losses"]["segmenter"]) for line in events)
    for name in ("index.html", "centers.md", "centers.csv"):
        assert "LABELS OF haining TAUGHT fcan" in (tmp_path / "run" / "report" / name).read_text(), name
    assert read_evaluation(tmp_path / "run" / "report").run_metadata.target_labels_trained_on
    status, _, err = polypda("report", "run", "--out", "joint")
    assert status == 0, err
    assert "LABELS OF haining TAUGHT fcan" in (tmp_path / "joint" / "index.html").read_text()
    assert "TAUGHT BY TARGET LABELS" in (tmp_path / "joint" / "model_card.md").read_text()


@pytest.mark.slow
def test_permitted_masks_of_the_target_matter(polypda, root, tmp_path):
    """The same run after the target's masks were exchanged among its frames; without permission no method sees them
    (tests/workflows/test_label_firewall.py)."""
    semi = [*options("discriminator_width=4"), *options("lambda_target_seg=1"), "--target-labels"]
    adapted = []
    for out in ("own", "exchanged"):
        status, _, err = polypda(*PAIR, *TINY, "--method", "fcan", *semi, "--out", out)
        assert status == 0, err
        adapted.append((tmp_path / out / "adapted.safetensors").read_bytes())
        paths = sorted((root / "haining" / "masks").iterdir())
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
            path.write_bytes(content)
    assert adapted[0] != adapted[1]


def test_the_oracles_selector_needs_labelled_validation_frames_before_training(polypda, root, tmp_path):
    table = root / "haining" / "frames.csv"
    table.write_text(table.read_text().replace(",validation", ",train"))
    chosen = ["--method", "minent", "--selector", "oracle", "--target-labels", "--out", "run"]
    status, _, err = polypda(*PAIR, *TINY, *chosen)
    assert status == 3 and "E_NO_LABELS" in err and "validation part" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_matrix_may_choose_on_permitted_labels_and_says_so(polypda, root, tmp_path):
    words = ["matrix", "--sources", "zju2", "--targets", "haining", "--methods", "source-only,minent", *TINY[:-2]]
    rest = ["--adapt-steps", "2", "--data-root", "data", "--device", "cpu", "--overlays", "0", "--out", "matrix"]
    assert polypda(*words, *rest, "--selector", "oracle")[0] == 2
    status, _, err = polypda(*words, *rest, "--selector", "oracle", "--target-labels")
    assert status == 0, err
    assert "CHOSEN ON TARGET LABELS" in (tmp_path / "matrix" / "report" / "model_card.md").read_text()
