"""What answers at once: commands that train and draw nothing wait for no library that does."""

import json
import os
import resource
import subprocess
import sys

import pytest

HEAVY = ("torch", "cv2", "pandas", "matplotlib", "scipy", "skimage", "albumentations", "segmentation_models_pytorch")
ASKED = """
import json, sys
words = json.loads(sys.argv[1])
if words is None:
    import polypda
    assert "adapt" in dir(polypda) and polypda.__version__
else:
    sys.argv = ["polypda", *words]
    from polypda.cli.main import main
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""
MOST_CPU_S = 3.0
"""Ten times what it takes on one usual core: a bound against a library that comes back, not a measurement."""


def asked(words, folder):
    environment = {**os.environ, "POLYPDA_CACHE": str(folder / "cache"), "COLUMNS": "120"}
    command = [sys.executable, "-c", ASKED, json.dumps(words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (None, ""),
        (["--help"], "honestly"),
        (["adapt", "--help"], "--batch-size"),
        (["evaluate", "--help"], "native resolution"),
        (["predict", "--help"], "masks"),
        (["methods"], "adaptsegnet"),
        (["methods", "self-training"], "default"),
        (["cohorts", "list"], "haining"),
        (["cohorts", "list", "--data-root", "data"], "no"),
        (["cohorts", "show", "haining"], "verified"),
        (["cache", "list"], "kind"),
        (["explain", "E_MASK_SIZE"], "what to do"),
        (["explain"], "E_MASK_SIZE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_it_answers_at_once(tmp_path, words, said):
    began = cpu_s()
    done = asked(words, tmp_path)
    assert cpu_s() - began < MOST_CPU_S
    assert said in done.stdout
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("given", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "PASSIVE"}], ids=str)
def test_threads_are_told_to_wait_briefly_before_the_library_that_reads_it(tmp_path, given):
    """What `test_it_answers_at_once` shows: a command's first lines load no torch."""
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    asking = f"{ASKED}import os; print({{name: os.environ.get(name) for name in {names}}})"
    command = [sys.executable, "-c", asking, json.dumps(["explain", "E_MASK_SIZE"])]
    done = subprocess.run(command, cwd=tmp_path, env={**plain, **given}, capture_output=True, text=True, check=True)
    expected = given or {"GOMP_SPINCOUNT": "10000"}
    assert done.stdout.splitlines()[-1] == str({name: expected.get(name) for name in names})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["adapt", "--source", "zju", "--target", "haining", "--phantom"], "E_COHORT_UNKNOWN"),
        (["adapt", "--source", "zju2", "--target", "haining", "--phantom", "--method", "adda+"], "E_METHOD_UNKNOWN"),
        (["adapt", "--source", "zju2", "--target", "haining", "--phantom", "-O", "lamda=1"], "E_METHOD_OPTION"),
        (["adapt", "--source", "zju2", "--target", "haining", "--data-root", "nowhere"], "E_COHORT_ABSENT"),
        (["adapt", "--source", "zju2", "--target", "haining", "--phantom", "--out", "file/run"], "E_WRITE_FAILED"),
        (["adapt", "--resume", "nowhere"], "E_RUN_MISSING"),
        (["matrix", "--sources", "zju", "--targets", "haining"], "E_COHORT_UNKNOWN"),
        (["matrix", "--sources", "zju2", "--targets", "haining", "--methods", "adaa"], "E_METHOD_UNKNOWN"),
        (["report", "nowhere", "--out", "report"], "E_EVALUATION_MISSING"),
        (["curves", "nowhere"], "E_RUN_MISSING"),
        (["evaluate", "nowhere", "--on", "zju2"], "E_RUN_MISSING"),
        (["audit", "nowhere", "--frames", "3"], "E_RUN_MISSING"),
        (["review", "build", "nowhere", "--out", "review"], "E_RUN_MISSING"),
        (["predict", "nowhere", "x.png", "--out", "out"], "E_WEIGHTS_MISSING"),
        (["show", "nowhere"], "E_WEIGHTS_MISSING"),
        (["export", "nowhere", "--to", "onnx"], "E_WEIGHTS_MISSING"),
        (["stylize", "--source", "zju2", "--target", "haning", "--phantom", "--out", "s"], "E_COHORT_UNKNOWN"),
        (["cohorts", "check", "zju"], "E_COHORT_UNKNOWN"),
        (["cohorts", "stats", "zju"], "E_COHORT_UNKNOWN"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_typo_waits_for_no_library(tmp_path, words, code):
    (tmp_path / "file").write_text("in the way")
    asking = ASKED.replace("assert not ended.code, ended.code", "pass")
    environment = {**os.environ, "POLYPDA_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", asking, json.dumps(words)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    *told, loaded = done.stderr.splitlines()
    assert told[0].startswith(code), done.stderr
    assert not set(json.loads(loaded)) & {"torch", "cv2", "matplotlib", "scipy", "albumentations"}


def test_scoring_maps_loads_nothing_that_trains_or_draws():
    code = "import json, sys, polypda.workflows.scoring.request; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert not {"matplotlib", "lightning_fabric", "segmentation_models_pytorch", "torch._dynamo"} & set(loaded)
