"""Every command of `polypda`, given one after the other on planted material, with a watch on the network.

The folder that is worked in, the user, the home and the machine are named by identifiers; so are the source's files,
tables, EXIF blocks, DICOM tags and the video's metadata. `polypda cohorts import --deidentify` is the first command, so
whatever comes after must be free of them.
"""

import io
import json
import os
import platform
import socket
import sys
from collections import namedtuple
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from PIL import Image
from support.painted_screens import mucosa, octagon
from support.planted_identifiers import BIRTH, FIRST_NAME, NAME, NUMBER, annotation_texts, dicom, jpeg, png, video
from support.reviews import decisions_document, write_decisions

from polypda.cli.main import app, main
from polypda.cohorts.named_root import use_data_root
from polypda.review.record import read_record

HEIGHT, WIDTH = 96, 128
FRAMES = 12
WARDS = {"ward-7": 0, "ward-8": 100}
SERVED = "review serve"
"""Waits for a browser on this machine: tests/review/test_review_server.py holds it to that."""
ON_A_CLUSTER = {"matrix status", "matrix cancel", "matrix check"}
"""Ask a Slurm, by its own programs."""
TINY = (
    "--size 64 --batch-size 2 --start-steps 2 --adapt-steps 2 --checkpoint-every 1 --threads 1 --overlays 2 "
    "--architecture fpn --levels 1 --device cpu --encoder tu-mobilenetv3_small_050 --encoder-weights none --parts none"
)
DATA = "--data-root data"
MATERIAL = tuple(
    f"cohorts import {ward} --as {ward} --out data --deidentify --key private/key --crosswalk private/{ward}.csv "
    "--keep-without-field"
    for ward in WARDS
)
RUN = f"adapt --source ward-7 --target ward-8 {DATA} --method minent --no-guard {TINY} --out run"
TOUR = (
    *MATERIAL,
    "cohorts import objects --as objects --out data --deidentify --key private/key --crosswalk private/o.csv "
    "--keep-without-field",
    f"cohorts list {DATA}",
    f"cohorts show ward-7 {DATA}",
    f"cohorts check ward-7 ward-8 {DATA} --out made/checks --processes 1",
    f"cohorts stats ward-7 ward-8 {DATA} --out made/stats --processes 1",
    "cohorts phantom haining --frames 2 --out made/phantoms",
    "methods",
    "explain E_MASK_SIZE",
    "doctor",
    RUN,
    f"adapt --resume run {DATA}",
    f"stylize --source ward-7 --target ward-8 {DATA} --out made/stylized --frames 1 --size 64 "
    "--encoder tu-mobilenetv3_small_050 --encoder-weights none",
    f"source-package run --out made/package {DATA}",
    f"matrix run --sources ward-7 --targets ward-8 --methods source-only --out made/matrix {DATA} {TINY}",
    "curves run",
    f"evaluate run --on ward-8 {DATA}",
    "report run --out made/report",
    f"audit run --frames 3 {DATA}",
    f"audit run --labels run/audit {DATA}",
    f"predict run inputs --out made/predicted {DATA} --overlays --device cpu",
    "show run",
    "export run --to torchscript --out made/model.pt",
    "export run --to onnx --out made/model.onnx",
    f"review build run --out made/review --cases 2 {DATA}",
    f"predict run inputs/0.jpg inputs/1.jpg --out made/images {DATA} --device cpu",
    "review build made/images --out made/review-of-predictions --cases 2 --images inputs",
    f"review import decisions.json --run run {DATA}",
    f"review correct corrected --run run {DATA}",
    "runs list .",
    "runs show run",
    "runs verify run",
    "runs clean run --dry-run",
    "cache list",
    "cache clear",
)
SHORT = (
    *MATERIAL,
    RUN.replace("--overlays 2", "--overlays 0").replace("steps 2", "steps 1"),
    f"predict run inputs --out made/predicted {DATA} --device cpu --max-frames 1",
    "export run --to torchscript --out made/model.pt --frames inputs/0.jpg",
)
"""What a test can afford: a cohort, a run, predictions, a model."""
FAILING = (
    f"adapt --source ward-7 --target ward-9 {DATA} --out other",
    f"adapt --source ward-7 --target ward-8 {DATA} --out run",
    "adapt --resume nowhere",
    "--debug predict run inputs-that-fail/broken.png --out made/broken",
    "--debug show nowhere",
    "predict run nowhere --out made/nowhere",
    "evaluate nowhere --on ward-8",
    "report nowhere --out made/none",
    f"review import broken.json --run run {DATA}",
    f"cohorts check ward-9 {DATA}",
    "cohorts import nowhere --as ward-9 --out data",
)
"""Commands that end in an error, some with a traceback."""
_WATCH = """
import os, sys
def _hear(event, arguments):
    if event.startswith("socket.") and event not in ("socket.gethostname", "socket.__new__"):
        if not (arguments and getattr(arguments[0], "family", None) == 1):
            with open(os.environ["POLYPDA_TEST_SOCKETS"], "a") as file:
                file.write(event + " " + repr(arguments[1:]) + "\\n")
sys.addaudithook(_hear)
"""
"""Put into every process that a command starts: 1 is AF_UNIX, by which processes of one machine speak."""
_ears: list[str] | None = None


def _hear(event: str, arguments: tuple) -> None:
    if _ears is None or not event.startswith("socket."):
        return
    own = arguments and getattr(arguments[0], "family", None) == socket.AF_UNIX
    if event == "socket.__new__":
        own = arguments[1] == socket.AF_UNIX
    if event != "socket.gethostname" and not own:
        _ears.append(f"{event} {arguments[1:]}")


sys.addaudithook(_hear)


@dataclass
class Given:
    """What one command did. sockets: what it asked of the network."""

    words: str
    status: int
    said: str
    sockets: list[str] = field(default_factory=list)


@cache
def command_names() -> set[str]:
    """Every command of the CLI, as it is typed."""

    def walk(command, words=()):
        if not hasattr(command, "commands"):
            return {" ".join(words)}
        return set().union(*(walk(child, (*words, name)) for name, child in command.commands.items()))

    return walk(typer.main.get_command(app))


def named(words: str) -> str:
    """The command that a line of words gives."""
    parts = [word for word in words.split() if word != "--debug"]
    return " ".join(parts[:2]) if " ".join(parts[:2]) in command_names() else parts[0]


def lay_material(folder: Path) -> Path:
    """A place below a folder, named by identifiers, with two planted wards and things to predict; returns it."""
    place = folder / f"{NAME}-{FIRST_NAME}" / f"{NUMBER} {BIRTH}" / "work"
    for ward, first in WARDS.items():
        rows = ["frame,patient,sequence,split,annotator"]
        for number in range(FRAMES):
            name, kind = f"{NUMBER}_{NAME}_{number:02d}", ("jpg", "png")[number % 2]
            image, mask = painted(first + number)
            _put(place / ward / "images" / f"{name}.{kind}", (jpeg if kind == "jpg" else png)(image))
            _put(place / ward / "masks" / f"{name}.png", _png(mask))
            part = "train" if number < 8 else "validation" if number < 9 else "test"
            rows.append(f'{name},"{NAME}, {FIRST_NAME} {number}",{BIRTH} {number},{part},{NAME}')
        _put(place / ward / "frames.csv", "\n".join(rows).encode())
        for name, text in annotation_texts().items():
            _put(place / ward / "letters" / name, text.encode())
    for number in range(3):
        _put(place / "objects" / f"{NAME}{number}.dcm", dicom(painted(200 + number)[0], number))
        _put(place / "inputs" / f"{number}.jpg", jpeg(painted(300 + number)[0]))
    _put(place / "inputs" / "object.dcm", dicom(painted(303)[0], 1))
    video([painted(304 + number)[0] for number in range(3)], place / "inputs" / "video.mp4")
    _put(place / "broken.json", b"{}")
    _put(place / "inputs-that-fail" / "broken.png", b"no image")
    _put(place / "home" / "note.txt", b"")
    return place


def painted(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A screen without text, and the mask of a bright polyp."""
    rng = np.random.default_rng(number)
    shape = octagon(HEIGHT, WIDTH, 8, 8)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[shape] = mucosa(rng, HEIGHT, WIDTH)[shape]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    polyp = np.hypot(columns - rng.integers(45, 83), rows - rng.integers(38, 58)) < rng.integers(8, 15)
    image[polyp] = np.clip(image[polyp].astype(int) + 55, 0, 255)
    return image, polyp.astype(np.uint8) * 255


def _png(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@contextmanager
def at(place: Path):
    """Work in a place, as a user and on a machine that are named by identifiers; children listen to the network too."""
    heard = place.parent / "sockets.txt"
    (place.parent / "watch").mkdir(exist_ok=True)
    (place.parent / "watch" / "sitecustomize.py").write_text(_WATCH)
    changed = {
        "HOME": str(place / "home"),
        "USER": FIRST_NAME,
        "LOGNAME": FIRST_NAME,
        "USERNAME": FIRST_NAME,
        "HOSTNAME": NUMBER,
        "POLYPDA_CACHE": str(place / "home" / "cache"),
        "POLYPDA_TEST_SOCKETS": str(heard),
        "PYTHONPATH": os.pathsep.join([str(place.parent / "watch"), os.environ.get("PYTHONPATH", "")]),
    }
    before, where = {name: os.environ.get(name) for name in changed}, Path.cwd()
    real = platform.node, socket.gethostname, os.uname
    System = namedtuple("System", "sysname nodename release version machine")
    system = System(*os.uname())._replace(nodename=NUMBER)
    os.environ.update(changed)
    os.chdir(place)
    platform.node = socket.gethostname = lambda: NUMBER
    os.uname = lambda: system
    try:
        yield heard
    finally:
        platform.node, socket.gethostname, os.uname = real
        os.chdir(where)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def hand_back(words: str) -> None:
    """What people do between two commands: draw masks for an audit, decide the cases of a review, correct outlines."""
    if "--labels" in words:
        folder = Path("run/audit")
        (folder / "masks").mkdir(exist_ok=True)
        for drawn in json.loads((folder / "plan.json").read_text())["frames"]:
            (folder / "masks" / drawn["image"]).write_bytes(_png(painted(0)[1]))
    if "decisions.json" in words:
        record = read_record(next(Path("run/reviews").iterdir()))
        document = decisions_document(record, [{"decision": "reject"}] * len(record.cases), reviewer="Li")
        write_decisions(Path("decisions.json"), document)
    if "review correct" in words:
        Path("corrected").mkdir(exist_ok=True)
        for relabel in Path("run/reviews").glob("*/imported/relabel.csv"):
            for image in pd.read_csv(relabel)["image"]:
                Path("corrected", image).with_suffix(".png").write_bytes(_png(painted(0)[1]))


def give(words: str, heard: Path) -> Given:
    """One command, as `polypda WORDS` runs it; what it says, and what it asks of the network."""
    global _ears
    heard.unlink(missing_ok=True)
    hand_back(words)
    said, argv, status = io.StringIO(), sys.argv, 0
    sys.argv, _ears = ["polypda", *words.split()], []
    use_data_root(None)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    finally:
        asked, _ears, sys.argv = _ears, None, argv
        use_data_root(None)
    with suppress(FileNotFoundError):
        asked += heard.read_text().splitlines()
    return Given(words, status, said.getvalue(), asked)
