"""What can be told at once is told before a frame is rendered or read, by every command."""

import importlib
import time
from pathlib import Path

import pytest
from support.painted import write_cohort
from support.runs import write_run

from polypda.cohorts import images
from polypda.phantom import renderer as cohort_folder
from polypda.processes import WorkerPool

PAIR = ["--source", "zju2", "--target", "haining"]
REAL, PHANTOM = [*PAIR, "--data-root", "data"], [*PAIR, "--phantom"]
MATRIX = ["matrix", "--sources", "zju2", "--targets", "haining"]
MAPS = ["evaluate", "--predictions", "data", "--on", "zju2", "--data-root", "data"]
STYLE = ["stylize", *PHANTOM]
IMPORT = ["cohorts", "import", "data", "--as", "ours"]

CASES = [
    (["adapt", *PHANTOM, "--out", "file/run"], "E_WRITE_FAILED"),
    (["adapt", *REAL, "--out", "file/run"], "E_WRITE_FAILED"),
    (["adapt", *PHANTOM, "--cache-dir", "file/cache"], "E_WRITE_FAILED"),
    (["adapt", *PHANTOM, "--out", "full"], "E_RUN_EXISTS"),
    (["adapt", *PHANTOM, "--architecture", "unett"], "E_ARCHITECTURE_UNKNOWN"),
    (["adapt", *PHANTOM, "--size", "70"], "E_INPUT_SIZE"),
    (["adapt", *PHANTOM, "--device", "abacus"], "E_DEVICE"),
    (["adapt", *PHANTOM, "--selector", "best"], "E_OPTION"),
    (["adapt", *PHANTOM, "--overlays", "7" * 5000], "E_OPTION"),
    (["adapt", *PHANTOM, "--method", "adasegnet"], "E_METHOD_UNKNOWN"),
    (["adapt", *PHANTOM, "--start", "nowhere"], "E_RUN_MISSING"),
    (["adapt", *PHANTOM, "--start", "run", "--seed", "1"], "E_START_DIFFERS"),
    (["adapt", *PHANTOM, "--start", "run"], "E_START_MISSING"),
    (["adapt", *PHANTOM, "--encoder-weights", "none.safetensors"], "E_WEIGHTS_MISSING"),
    (["adapt", *PHANTOM, "--method", "fcan", "-O", "aan_style_weights=1,2"], "E_STYLE_LAYERS"),
    (["adapt", "--source", "zju2", "--target", "haining", "--data-root", "nowhere"], "E_COHORT_ABSENT"),
    (["adapt", "--source-package", "nowhere", "--target", "haining", "--method", "tent"], "E_SOURCE_PACKAGE"),
    (["adapt", "--resume", "nowhere"], "E_RUN_MISSING"),
    ([*MATRIX, "--phantom", "--out", "file/m"], "E_WRITE_FAILED"),
    ([*MATRIX, "--phantom", "--architecture", "unett"], "E_ARCHITECTURE_UNKNOWN"),
    ([*MATRIX, "--data-root", "nowhere"], "E_COHORT_ABSENT"),
    ([*MATRIX, "--phantom", "--report", "file/r"], "E_WRITE_FAILED"),
    ([*MAPS, "--out", "file/e"], "E_WRITE_FAILED"),
    ([*MAPS, "--predictions", "b=nowhere"], "E_PREDICTIONS_MISSING"),
    (["evaluate", "nowhere", "--on", "zju2"], "E_RUN_MISSING"),
    (["evaluate", "run", "--on", "zju2"], "E_RUN_UNFINISHED"),
    (["report", "run", "--out", "file/r"], "E_WRITE_FAILED"),
    (["report", "run", "nowhere", "--out", "r"], "E_EVALUATION_MISSING"),
    (["curves", "run", "--out", "file/c"], "E_WRITE_FAILED"),
    (["source-package", "run", "--out", "file/p"], "E_WRITE_FAILED"),
    (["source-package", "run", "--out", "p"], "E_START_MISSING"),
    ([*STYLE, "--out", "file/s"], "E_WRITE_FAILED"),
    ([*STYLE, "--out", "s", "-O", "aan_style_weights=1,2"], "E_STYLE_LAYERS"),
    (["cohorts", "stats", "zju2", "--data-root", "data", "--out", "file/s"], "E_WRITE_FAILED"),
    (["cohorts", "stats", "zju2", "hainig", "--data-root", "data"], "E_COHORT_UNKNOWN"),
    (["cohorts", "check", "zju2", "--data-root", "data", "--out", "file/c"], "E_WRITE_FAILED"),
    (["cohorts", "check", "zju2", "--data-root", "data", "--json", "none/c.json"], "E_WRITE_FAILED"),
    (["cohorts", "check", "zju2", "hainig", "--data-root", "data"], "E_COHORT_UNKNOWN"),
    (["cohorts", "phantom", "zju2", "--frames", "3", "--out", "file/p"], "E_PHANTOM_WRITE"),
    ([*IMPORT, "--out", "file/d"], "E_WRITE_FAILED"),
    ([*IMPORT, "--out", "d", "--format", "cocoo"], "E_FORMAT"),
    ([*IMPORT, "--out", "d", "-O", "clases=polyp"], "E_OPTION"),
    ([*IMPORT, "--out", "d", "--deidentify", "--key", "key", "--crosswalk", "file/c.csv"], "E_WRITE_FAILED"),
]


@pytest.fixture
def nothing_costly(tmp_path, monkeypatch):
    """A data root, a run without models; rendering a frame, reading one, or starting a process fails the test."""
    for cohort in ("zju2", "haining"):
        write_cohort(tmp_path / "data", cohort, count=3)
    write_run(tmp_path / "run", 3)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()

    def costly(what):
        return lambda *_, **__: pytest.fail(f"{what} before the error was told")

    monkeypatch.setattr(cohort_folder, "render_frame", costly("a frame was rendered"))
    for name in ("polypda.quality.fingerprints", "polypda.review.frames"):
        importlib.import_module(name)  # they take the function as it is: not first in here, where it fails
    monkeypatch.setattr(images, "decode_image", costly("a picture was decoded"))
    monkeypatch.setattr(WorkerPool, "__init__", costly("a process was started"))
    monkeypatch.setattr(Path, "read_bytes", _reading_no_frame(costly("a frame was read")))


def _reading_no_frame(fail):
    read = Path.read_bytes
    return lambda path: fail() if {"images", "masks"} & set(path.parts) else read(path)


@pytest.mark.parametrize(("words", "code"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_it_is_told_at_once(polypda, nothing_costly, tmp_path, words, code):
    there = set(tmp_path.rglob("*"))
    began_s = time.process_time()
    status, _, err = polypda(*words)
    assert status in (2, 3) and code in err and "Fix:" in err and "Traceback" not in err, err
    assert time.process_time() - began_s < 4  # 2 s, doubled for imports that this process makes for the first time
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} <= there, "something was left behind"
