"""One flipped bit in each kind of file that a later step reads: who notices? For :mod:`survival`, ``--flips``."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from disturbed import Plan, run
from PIL import Image
from support.reviews import decisions_document, write_decisions
from survival import METHODS, TINY

from polypda.cache import Store
from polypda.data.cache import ImageFile
from polypda.errors import DataError, PolypdaError
from polypda.evaluation.cases.clinical_review import findings_of
from polypda.evaluation.cases.evaluation_file import read_evaluation
from polypda.integrity import CHECKSUMS, check
from polypda.locks import LOCK, locked
from polypda.prediction.export import read_facts_of
from polypda.prediction.model import read_model
from polypda.prediction.outputs import PredictionTable
from polypda.review.decisions import read_decisions
from polypda.review.folder import read_masks, require_untouched
from polypda.review.record import read_key, read_record
from polypda.training.checkpoints import final_segmenter, list_checkpoints, load_checkpoint
from polypda.training.pseudo_labels import FACTS, LABELS, read_facts
from polypda.training.run_folder import STATUS, RunFolder
from polypda.workflows.audit.plan import AuditPlan
from polypda.workflows.matrix.slurm import JobBook
from polypda.workflows.review.predicted import PredictedFolder
from polypda.workflows.review.receive import corrected_masks
from polypda.workflows.runs import adapt
from polypda.workflows.runs.accepted import read_accepted
from polypda.workflows.runs.keeping import problems
from polypda.workflows.runs.source_package import read_source_package

METHOD = "self-training rounds"
MADE_ANEW = "MADE_ANEW"
"""Of what the next command does again: nothing that was changed is used."""


class _Loaded:
    """Stands for a method: what is compared before its state is touched."""

    name = "self-training"

    def modules(self) -> dict:
        return {}

    def players(self) -> tuple:
        return ()


def _kinds(where: Path) -> dict[str, tuple[list[Path], Callable[[Path], object]]]:
    """Kind → its files, and what reads them next."""
    made, cache = where / "run", where / "cache"
    stages = [path for path in (made / "stages").iterdir() if list_checkpoints(path)]
    checkpoints = [one for stage in stages for one in list_checkpoints(stage)]
    pseudo = [stage for stage in stages if (stage / LABELS).is_file()]

    def images(path: Path) -> None:
        file = ImageFile(path)
        for index in range(len(file)):
            file[index]

    def entry(path: Path) -> None:
        if Store(path.parent).read(path.name) is None:
            raise PolypdaError(MADE_ANEW, "it is computed again")

    def hold(path: Path) -> None:
        with locked(path.parent, "flips"):
            pass

    def whole(path: Path) -> None:
        if faults := problems(path.parent):
            raise PolypdaError("E_RUN_DAMAGED", faults[0].what)

    def resumed(path: Path) -> None:
        """A command that is given again: what it takes over must be what was written."""
        again = where / "again"
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(where / "predicted", again)
        if PredictionTable(again).finished != whole_inputs:
            raise PolypdaError(MADE_ANEW, "an input is predicted again")
        check(again / path.relative_to(where / "predicted"))

    def reviewed(path: Path) -> None:
        cases = read_record(review).cases
        read_key(review)
        for case in cases:
            read_masks(review, case)
        corrected_masks(review)
        findings_of(made)
        read_accepted(review / "imported" / "accepted.csv")
        for name in ("imported/relabel.csv", "imported/decisions.csv"):
            check(review / name)
        for one in (review / "imported" / "files").iterdir():
            read_decisions(one)
        whole(made / CHECKSUMS)

    def handed_back(path: Path) -> None:
        require_untouched(where / "page", review)
        whole(where / "page" / CHECKSUMS)  # panels are for slides, and no part of what is judged

    def predicted(path: Path) -> None:
        folder = PredictedFolder(where / "predicted", where / "predicted" / "nowhere")
        if folder.models and folder.trainings:
            for name in folder.rows:
                folder.mask(name)
                folder.probability(name)

    review = next((made / "reviews").iterdir())
    whole_inputs = PredictionTable(where / "predicted").finished
    pages = [path for path in (where / "page").rglob("*") if path.is_file()]
    records = [path for path in review.rglob("*") if path.is_file() and path.parent.name in REVIEWED]
    book = JobBook(where / "matrix")
    maps = [path for path in (where / "predicted").rglob("*") if path.parent.name in ("masks", "probabilities")]
    own = [path for path in made.iterdir() if path.is_file() and path.name not in (STATUS, CHECKSUMS)]
    return {
        "the run's own files": (own, lambda path: RunFolder.open(path.parent)),
        "state of the run": ([made / STATUS], lambda path: RunFolder(path.parent).status()),
        "weights of a checkpoint": (
            [final_segmenter(stage) for stage in stages],
            lambda path: final_segmenter(path.parents[1]),
        ),
        "state of the optimisers": (
            [one.folder / "optimizers.pt" for one in checkpoints if one.resumable],
            lambda path: load_checkpoint(next(c for c in checkpoints if c.folder == path.parent), _Loaded()),
        ),
        "pseudo-labels": (
            [stage / name for stage in pseudo for name in (LABELS, FACTS)],
            lambda path: (read_facts(path.parent), images(path.parent / LABELS)),
        ),
        "lists of checksums": (
            [path for path in made.rglob(CHECKSUMS) if path.parent != made / "stages"],
            lambda path: whole(made / CHECKSUMS),
        ),
        "logs and records of stages": (
            [stage / name for stage in stages for name in ("events.jsonl", "done.json")],
            lambda path: whole(made / CHECKSUMS),
        ),
        "evaluation and cases": (
            [made / "report" / name for name in ("evaluation.json", "cases.csv", "centers.csv")],
            lambda path: read_evaluation(path.parent),
        ),
        "cached frames": (sorted((cache / "frames").glob("*.npy")), images),
        "cached scores": (sorted((cache / "scores").glob("*.json")), entry),
        "lock": ([where / "held" / LOCK], hold),
        "source package": (
            [path for path in (where / "package").iterdir() if path.is_file()],
            lambda path: read_source_package(path.parent),
        ),
        "exported model": (
            [where / "model.safetensors", where / "model.pt"],
            lambda path: read_facts_of(path) and path.suffix == ".safetensors" and read_model(path),
        ),
        "predictions": (
            [path for path in (where / "predicted").rglob("*") if path.is_file() and path.name[0] != "."],
            lambda path: whole(where / "predicted" / CHECKSUMS),
        ),
        "predictions, at the command given again": (
            [*maps, where / "predicted" / "predictions.csv", where / "predicted" / ".finished"],
            resumed,
        ),
        "records of predictions, likewise": ([where / "predicted" / "prediction.json"], resumed),
        "predictions, at a review of them": ([*maps, where / "predicted" / "predictions.csv"], predicted),
        "pages of a review": (pages, handed_back),
        "records of a review": (records, reviewed),
        "corrected masks": (sorted((review / "corrected").iterdir()), reviewed),
        "plan of an audit": ([made / "audit" / "plan.json"], AuditPlan.read),
        "jobs of a cluster": ([book.folder / "jobs.json"], lambda path: book.jobs()),
        "endings of jobs": (sorted((book.folder / "ended").iterdir()), lambda path: book.ended(path.stem)),
    }


REVIEWED = ("imported", "accepted", "files", "masks")
"""Folders of a review's record that are read again; relabel/ is for people to draw in."""


def _make(where: Path, phantoms: Path) -> None:
    """Everything that is read: a run and what is made of it."""
    shutil.copytree(phantoms, where / "cache" / "phantoms")
    adapt.settle = lambda run: None  # for what is forked below: a run under way has states, and they can be hit
    images = next((where / "cache" / "phantoms").glob("*/haining/images")).as_posix()
    for words in (
        ["adapt", *TINY, *METHODS[METHOD], "--out", "run"],
        ["source-package", "run", "--out", "package"],
        ["export", "run", "--to", "safetensors", "--out", "model.safetensors"],
        ["export", "run", "--to", "torchscript", "--out", "model.pt"],
        ["predict", "run", images, "--out", "predicted", "--device", "cpu", "--probabilities", "png16"],
        ["audit", "run", "--frames", "2"],
        ["review", "build", "run", "--out", "page", "--cases", "3", "--every-frame", "--blinded"],
    ):
        _give(words, where)
    review = next((where / "run" / "reviews").iterdir())
    record = read_record(review)
    said = [{"decision": "accept", "preference": "a"}, {"decision": "reject"}, {"decision": "reject"}]
    write_decisions(where / "li.json", decisions_document(record, said[: len(record.cases)]))
    _give(["review", "import", "li.json", "--run", "run"], where)
    (where / "drawn").mkdir()
    for image in pd.read_csv(review / "imported" / "relabel.csv", encoding="utf-8-sig")["image"]:
        with Image.open(next(iter(Path(images).iterdir()))) as frame:
            drawn = np.zeros((frame.height, frame.width), np.uint8)
        drawn[40:80, 40:90] = 255
        Image.fromarray(drawn).save(where / "drawn" / f"{Path(image).stem}.png")
    _give(["review", "correct", "drawn", "--run", "run"], where)
    book = JobBook(where / "matrix")
    book.add({"zju2-to-haining": "41_0", "haining-to-zju2": "41_1"})
    book.end("zju2-to-haining", DataError("E_DISK_FULL", "no space is left.", fix="free some."))
    book.end("haining-to-zju2")
    (where / "held").mkdir()
    holder = os.fork()
    if holder == 0:  # killed while it holds the folder: as it is, its lock is nobody's
        with locked(where / "held", "adapt"):
            os._exit(9)
    os.waitpid(holder, 0)


def _give(words: list[str], where: Path) -> None:
    ended = run(words, where, Plan())
    if ended.status:
        raise SystemExit(f"{' '.join(words)}: {ended.said}")


def flipped(numbers: Sequence[int], known: Path, phantoms: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Flip a bit for each number, each kind in turn; what was noticed at the next use.

    known: a folder where the material stays. numbers: which trials of the count.
    """
    where = known / "flips"
    if not (where / "held").is_dir():
        shutil.rmtree(where, ignore_errors=True)
        _make(where, phantoms)
    content = (where / "held" / LOCK).read_bytes()
    kinds = _kinds(where)
    for number in numbers:
        chance = random.Random(f"{seed} flip {number}")
        kind = list(kinds)[number % len(kinds)]
        files, use = kinds[kind]
        path = chance.choice([file for file in files if file.stat().st_size])  # no step was made: an empty log
        data = path.read_bytes()
        if path.name == LOCK:
            path.write_bytes(content)
            data = content
        bit = chance.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            use(path)
            wrong = ["not noticed"]
        except PolypdaError as error:
            wrong = [] if error.code else ["no code"]
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        path.write_bytes(data)
        os.utime(path)
        name = path.relative_to(where).as_posix()
        yield {"kind": "flip", "number": number, "name": kind, "what": f"bit {bit} of {name}", "wrong": wrong}
