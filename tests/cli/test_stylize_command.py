"""`polypda stylize` as a user meets it, and what `polypda adapt` does with frames restyled so."""

import json
import re

import cv2
import numpy as np
import pytest
from support.painted import write_cohort

SMALL = ["--size", "64", "--encoder", "tu-mobilenetv3_small_050", "--device", "cpu", "--threads", "1"]
QUICK = ["-O", "aan_steps=2"]
TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "1", "--adapt-steps", "2"]


@pytest.fixture
def stylize(polypda, tmp_path):
    write_cohort(tmp_path / "data", "zju2")
    write_cohort(tmp_path / "data", "haining", tint=(90, 130, 160))

    def run(*words, pair=("zju2", "haining")):
        named = ["--source", pair[0], "--target", pair[1]]
        return polypda("stylize", *named, "--data-root", "data", *SMALL, *words)

    return run


def test_images_of_before_and_after(stylize, tmp_path, monkeypatch):
    monkeypatch.setattr("polypda.data.labels.read_mask", lambda *_: pytest.fail("a mask was opened"))
    status, out, err = stylize("--out", "looks", "--frames", "2", "-O", "aan_steps=10", "-O", "aan_alpha=5")
    assert status == 0, err
    assert out.splitlines()[-1] == "looks"
    images = sorted((tmp_path / "looks").glob("*.png"))
    assert [path.name for path in images] == ["000.png", "001.png"]
    before, after, target = (panel for panel in np.split(cv2.imread(str(images[0]))[:320, 8:].astype(float), 3, axis=1))
    # the restyled frame differs from the one it was made of, and less from it than from a frame of the target
    assert 1 < np.abs(before - after).mean() < np.abs(before - target).mean()
    record = json.loads((tmp_path / "looks" / "stylization.json").read_text())
    assert record["settings"]["aan_steps"] == 10 and record["target_frames"] == 8
    assert all(sum(frame["last"]) < sum(frame["first"]) for frame in record["frames"])
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["-O", "aan_alfa=1"], 2, "E_METHOD_OPTION.*'aan_alpha'"),
        (["-O", "aan_steps=0"], 2, "E_METHOD_OPTION.*aan_steps"),
        (["-O", "aan_style_weights=1,1"], 2, "E_STYLE_LAYERS"),
        (["--size", "70"], 2, "E_INPUT_SIZE"),
        (["--encoder-weights", "no.safetensors"], 3, "E_WEIGHTS_MISSING"),
        (["--out", "data"], 3, "E_OUT_EXISTS data"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing(stylize, tmp_path, words, status, message):
    ended, _, err = stylize("--out", "looks", *QUICK, *words)
    assert ended == status and re.search(message, err), err
    assert not (tmp_path / "looks").exists()


def test_a_cohort_is_not_stylized_to_itself(stylize):
    status, _, err = stylize("--out", "looks", pair=("zju2", "zju2"))
    assert status == 2 and "E_SAME_COHORT" in err


@pytest.mark.slow
def test_fcan_trains_on_stylized_frames_and_finds_them_again(stylize, polypda, tmp_path):
    words = ["adapt", "--source", "zju2", "--target", "haining", "--data-root", "data", "--method", "fcan", *TINY]
    words += ["--device", "cpu", "--threads", "1", "--overlays", "1", *QUICK]
    status, _, err = polypda(*words, "-O", "stylize=true", "--out", "styled")
    assert status == 0, err
    record = json.loads((tmp_path / "styled" / "stylization.json").read_text())
    made = list((tmp_path / "cache" / "stylized" / record["cache"]).glob("*.npy"))
    assert len(made) == 1 and np.load(made[0]).shape == (8, 64, 64, 3)
    assert "stylize: 8/8" in err
    status, _, err = polypda(*words, "-O", "stylize=false", "--start", "styled", "--out", "plain")
    assert status == 0, err
    assert not (tmp_path / "plain" / "stylization.json").exists()
    # same start, same seed: only what the method learnt from differs
    one, other = (
        json.loads((tmp_path / name / "stages" / "fcan" / "events.jsonl").read_text().splitlines()[0])
        for name in ("styled", "plain")
    )
    assert one["losses"]["segmenter"]["adv_target"] == other["losses"]["segmenter"]["adv_target"]
    assert one["losses"]["segmenter"]["seg_main"] != other["losses"]["segmenter"]["seg_main"]
