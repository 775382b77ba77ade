"""A run goes on with the data that it learnt, or not at all: `adapt --resume` and `--start`, packages, a matrix."""

import re
import shutil

import pytest
from support.painted import write_cohort

from polypda.workflows.runs import cohort_pair

TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "1", "--adapt-steps", "1"]
REST = ["--data-root", "data", "--device", "cpu", "--overlays", "0"]
RECORDS = ("config.json", "environment.json", "manifests.json", "labels.json", "split-*.csv", "STATUS.json")


def records(run):
    return {path.name: path.read_bytes() for pattern in RECORDS for path in run.glob(pattern)}


def test_a_run_is_not_continued_or_reused_on_other_data(polypda, tmp_path):
    for cohort, tint in (("zju2", (170, 90, 70)), ("haining", (90, 120, 170))):
        write_cohort(tmp_path / "data", cohort, tint=tint)
    pair = ["--sources", "zju2", "--targets", "haining", "--methods", "source-only"]
    status, _, err = polypda("matrix", *pair, "--out", "matrix", "--no-overlays", *TINY, *REST)
    assert status == 0, err
    run = tmp_path / "matrix" / "zju2-to-haining-source-only-s0"
    header, first = (run / "split-haining.csv").read_text().splitlines()[:2]
    assert header.endswith("split,image_sha256,ignore_sha256,label_sha256")
    assert re.search(r",train,[0-9a-f]{64},,$", first), "of the target no label is recorded"
    (run / "STATUS.json").write_text((run / "STATUS.json").read_text().replace('"complete"', '"interrupted"'))
    before = records(run)
    assert len(before) == 7

    table = tmp_path / "data" / "zju2" / "frames.csv"
    kept = table.read_text()
    table.write_text(kept.replace("000,train", "000,test").replace("010,test", "010,train"))
    told = r"E_DATA_CHANGED {0}.*zju2.*2 frames moved to another part.*000 \(train → test\), 010 \(test → train\)"
    for words in (
        ["adapt", "--resume", run, *REST[:2]],
        ["matrix", *pair, "--out", "matrix", "--no-overlays", *TINY, *REST],
        ["source-package", run, "--out", "package", *REST[:2]],
    ):
        status, _, err = polypda(*words)
        assert status == 3 and re.search(told.format(run.name), err), err
        assert records(run) == before, words[0]
    assert not (tmp_path / "package").exists()
    status, _, err = polypda(
        *("adapt", "--source", "zju2", "--target", "haining", *TINY, *REST, "--start", run, "--out", "o"),
        "--allow-leakage",  # painted frames of equal number are alike
    )
    assert status == 3 and re.search(r"E_START_DIFFERS.*2 frames moved", err), err

    table.write_text(kept)
    shutil.copy(*(tmp_path / "data" / "haining" / "images" / f"{stem}.png" for stem in ("002", "003")))
    status, _, err = polypda("adapt", "--resume", run, *REST[:2])
    assert status == 3 and re.search("haining.*1 frame with another picture: 003", err), err
    assert records(run) == before


def test_a_rendered_phantom_is_found_again_without_a_process(tmp_path, monkeypatch):
    roots = cohort_pair.render_phantoms(["zju2", "haining"], 1, 0, 0, tmp_path)
    monkeypatch.setattr(cohort_pair, "WorkerPool", lambda *_: pytest.fail("a process was started"))
    assert cohort_pair.render_phantoms(["zju2", "haining"], 1, 0, 0, tmp_path) == roots
