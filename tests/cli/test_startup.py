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
        (["evaluate", "--help"], "native resolution"),
        (["predict", "--help"], "masks"),
        (["methods"], "adaptsegnet"),
        (["methods", "self-training"], "default"),
        (["cohorts", "list"], "haining"),
        (["cohorts", "list", "--data-root", "data"], "no"),
        (["cohorts", "show", "haining"], "verified"),
        (["cache", "list"], "kind"),
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
