"""A package of somebody else's adds one of each, and help, lists, runs, tables and reports know them."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.painted import write_cohort, write_frames

PLUGIN = '''
from pathlib import Path

from support.tiny_segmenter import TinySegmenter

from polypda import Criterion, FrameMetric, Network, Reader
from polypda.importing.contract import ImportedFrame, MaskLabel
from polypda.importing.images.masks import read_mask_file
from polypda.importing.images.decoded_image import read_image
from polypda.methods.segmentation import SourceOnly
from polypda.training.run_loggers import RunLogger


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
METRIC = FrameMetric(
    "marked_share",
    lambda predicted, reference, valid: predicted.sum() / valid.sum(),
    "share marked",
    unit="%",
    digits=1,
    higher_is_better=None,
    note="of the field of view",
)
COHORTS = Path(__file__).with_name("their_cohorts")


class Lines(RunLogger):
    """A line for each thing it is told."""

    name = "lines"

    def __init__(self, place):
        place.folder.mkdir(parents=True, exist_ok=True)
        self.file = (place.folder / f"lines-{place.part or 'run'}.txt").open("a")

    def go_on(self, start):
        return start

    def config(self, values):
        print("config", values["seed"], file=self.file)

    def scalars(self, step, values):
        print("scalars", step, *values, file=self.file)

    def image(self, name, step, image):
        print("image", image.shape, file=self.file)

    def artefact(self, path):
        print("artefact", path.name, file=self.file)

    def close(self):
        self.file.close()


class ShotsReader(Reader):
    """A list of shots: image and mask."""

    name = "shots"
    title = "shots.txt"

    def recognises(self, tree):
        return "shots.txt" in tree.files()

    def frames(self, tree, ledger):
        for line in tree.read("shots.txt").decode().splitlines():
            image, mask = line.split()
            label = MaskLabel(lambda size, mask=mask: read_mask_file(tree, mask, size))
            yield ImportedFrame(Path(image).stem, image, lambda image=image: read_image(tree, image), label)
'''
COHORT = """\
id: their-ward
title: {en: "Their ward"}
centre: "Ward of theirs"
city: null
country: null
scope: {vendor: null, processor: null, endoscope: null, modes: null}
declared: {frames: 3}
verified: {}
annotation: mask
media: frames
access: {level: private, how: "Ask them."}
facts:
  - {statement: "3 frames.", source: "their table", status: declared}
"""
ENTRIES = """\
[polypda.methods]
watching = their_plugin:Watching
[polypda.selectors]
most-polyp = their_plugin:CRITERION
[polypda.networks]
tiny = their_plugin:NETWORK
[polypda.readers]
shots = their_plugin:ShotsReader
[polypda.metrics]
marked = their_plugin:METRIC
[polypda.loggers]
lines = their_plugin:Lines
[polypda.cohorts]
theirs = their_plugin:COHORTS
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
    "--size 64 --batch-size 2 --start-steps 2 --adapt-steps 2 --device cpu --overlays 1 --data-root data --out run "
    "--log-to lines"
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
    (tmp_path / "theirs" / "their_cohorts").mkdir()
    (tmp_path / "theirs" / "their_cohorts" / "their-ward.yaml").write_text(COHORT)


def test_help_run_and_report_know_what_a_package_adds(tmp_path):
    install(tmp_path, ENTRIES)
    write_cohort(tmp_path / "data", "zju2")
    write_cohort(tmp_path / "data", "haining", tint=(150, 130, 60))
    shots = write_frames(tmp_path / "src", 3)
    lines = (f"images/{shot.image.name} masks/{shot.mask.name}" for shot in shots)
    (tmp_path / "src" / "shots.txt").write_text("\n".join(lines))
    listed = ["cohorts import --help", "cohorts import src --as their-ward --data-root data", "cohorts list"]
    reported = ["curves run", "report run --out all --no-overlays"]
    done = polypda(tmp_path, ["adapt --help", "methods", *listed, RUN, *reported])
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.replace("│", " ").split())
    assert "most-polyp" in shown and "deeplab-v2, tiny" in shown and "watching " in shown
    assert '"selector": "most-polyp"' in (tmp_path / "run" / "selection.json").read_text()
    told = (tmp_path / "run" / "tracking" / "lines-run.txt").read_text()
    assert told.startswith("config 0\nscalars 0 ") and "result/dice/haining/watching" in told
    assert "image (" in told and "artefact adapted.safetensors" in told
    steps = (tmp_path / "run" / "tracking" / "lines-watching.txt").read_text().splitlines()
    assert [line.split()[1] for line in steps] == ["0", "1"] and "loss/segmenter/" in steps[0]
    assert '"architecture": "tiny"' in (tmp_path / "run" / "config.json").read_text()
    assert "Share called polyp" in (tmp_path / "run" / "curves" / "curves-watching.svg").read_text()
    assert "most-polyp" in (tmp_path / "run" / "report" / "index.html").read_text()
    card = (tmp_path / "all" / "model_card.md").read_text()
    assert "Watching the target" in card
    # the format, in help and in use; the cohort that was imported by it, in the list
    assert "release|shots|" in shown and "their-ward: 7 files read as shots, 3 frames taken (3 mask)" in shown
    assert "their-ward Ward of" in shown  # a narrow screen breaks the title
    assert sorted(path.name for path in (tmp_path / "data" / "their-ward" / "masks").iterdir()) == [
        f"00{number}.png" for number in range(3)
    ]
    # the metric: a column of the cases, a mean per centre, in every table
    cases = pd.read_csv(tmp_path / "run" / "report" / "cases.csv")
    target = cases[(cases["model"] == "watching") & (cases["cohort"] == "haining") & cases["positive"]]
    shares = target["predicted_px"] / target["valid_px"]
    assert target["marked_share"].tolist() == shares.tolist() and len(shares) > 1
    centres = pd.read_csv(tmp_path / "all" / "centers.csv")
    mean = centres[(centres["model"] == "watching") & (centres["cohort"] == "haining")]["marked_share_frame"].item()
    assert abs(mean - shares.mean()) < 1e-9
    for page in ("run/report/index.html", "all/index.html", "all/centers.md", "all/model_card.md"):
        assert "share marked" in (tmp_path / page).read_text(), page


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("cohorts list", "zju2"),
        pytest.param("methods", "tent", marks=pytest.mark.slow),
        pytest.param("cohorts import --help", "coco", marks=pytest.mark.slow),
    ],
)
def test_a_package_cannot_take_a_name_of_ours(tmp_path, words, name):
    install(tmp_path, ENTRIES)
    plugin = tmp_path / "theirs" / "their_plugin.py"
    plugin.write_text(PLUGIN.replace('name = "shots"', 'name = "coco"').replace('name = "watching"', 'name = "tent"'))
    manifest = tmp_path / "theirs" / "their_cohorts" / "their-ward.yaml"
    manifest.rename(manifest.with_name("zju2.yaml")).write_text(COHORT.replace("id: their-ward", "id: zju2"))
    done = polypda(tmp_path, [words])
    assert done.returncode == 2 and "E_PLUGIN" in done.stderr and f"'{name}'" in done.stderr


def test_a_package_that_adds_something_else_is_named(tmp_path):
    install(tmp_path, ENTRIES.replace("their_plugin:Watching", "their_plugin:PLUGIN"))
    done = polypda(tmp_path, ["methods"])
    assert done.returncode == 2 and "E_PLUGIN" in done.stderr and "their-plugin" in done.stderr
