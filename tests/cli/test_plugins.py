"""A package of somebody else's adds a method, a selector and a network, and the commands know them."""

import os
import subprocess
import sys
from pathlib import Path

from support.painted import write_cohort

PLUGIN = '''
from support.tiny_segmenter import TinySegmenter

from polypda.methods.segmentation import SourceOnly
from polypda.networks.registry import Network
from polypda.training.criteria import Criterion


class Watching(SourceOnly):
    """Trains on the source and is given target batches that it does not use."""

    name = "watching"
    title = "Watching the target"
    paper = "Nobody, 2026"
    plays_on_target = True


CRITERION = Criterion(
    "most-polyp",
    "share called polyp on the target",
    lambda seen: float((seen.probabilities >= 0.5).double().mean()),
    column="most_polyp",
    heading="Share called polyp",
)
NETWORK = Network("tiny", lambda spec: TinySegmenter(), encoder="its-own", own_encoder=True)
'''
ENTRIES = """\
[polypda.methods]
watching = their_plugin:Watching
[polypda.selectors]
most-polyp = their_plugin:CRITERION
[polypda.networks]
tiny = their_plugin:NETWORK
"""
COMMANDS = """
import sys

import conftest
from polypda.cli.main import main

for words in sys.argv[1].split(";"):
    sys.argv = ["polypda", *words.split()]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""
RUN = (
    "adapt --source zju2 --target haining --method watching --selector most-polyp --architecture tiny --preset quick "
    "--size 64 --batch-size 2 --start-steps 2 --adapt-steps 2 --device cpu --overlays 1 --data-root data --out run"
)


def polypda(tmp_path, commands):
    paths = [str(tmp_path / "theirs"), str(Path(__file__).parents[1]), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "POLYPDA_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-c", COMMANDS, ";".join(commands)]
    return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def install(tmp_path, entries):
    about = tmp_path / "theirs" / "their_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)
    (tmp_path / "theirs" / "their_plugin.py").write_text(PLUGIN)


def test_help_run_and_report_know_what_a_package_adds(tmp_path):
    install(tmp_path, ENTRIES)
    write_cohort(tmp_path / "data", "zju2")
    write_cohort(tmp_path / "data", "haining", tint=(150, 130, 60))
    done = polypda(tmp_path, ["adapt --help", "methods", RUN, "curves run", "report run --out all --no-overlays"])
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.replace("│", " ").split())
    assert "most-polyp" in shown and "deeplab-v2, tiny" in shown and "watching " in shown
    assert '"selector": "most-polyp"' in (tmp_path / "run" / "selection.json").read_text()
    assert '"architecture": "tiny"' in (tmp_path / "run" / "config.json").read_text()
    assert "Share called polyp" in (tmp_path / "run" / "curves" / "curves-watching.svg").read_text()
    assert "most-polyp" in (tmp_path / "run" / "report" / "index.html").read_text()
    assert "Watching the target" in (tmp_path / "all" / "model_card.md").read_text()


def test_a_package_that_adds_something_else_is_named(tmp_path):
    install(tmp_path, ENTRIES.replace("their_plugin:Watching", "their_plugin:PLUGIN"))
    done = polypda(tmp_path, ["methods"])
    assert done.returncode == 2 and "E_PLUGIN" in done.stderr and "their-plugin" in done.stderr
