"""One flipped bit in each kind of file that a later step reads: who notices? For :mod:`survival`, ``--flips``."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from survival import METHODS, TINY, Plan, run

from polypda.cache import Store
from polypda.data.cache import ImageFile
from polypda.errors import PolypdaError
from polypda.evaluation.cases.evaluation_file import read_evaluation
from polypda.integrity import CHECKSUMS
from polypda.locks import LOCK, locked
from polypda.prediction.export import read_facts_of
from polypda.prediction.model import read_model
from polypda.training.checkpoints import final_segmenter, list_checkpoints, load_checkpoint
from polypda.training.pseudo_labels import FACTS, LABELS, read_facts
from polypda.training.run_folder import STATUS, RunFolder
from polypda.workflows.runs import adapt
from polypda.workflows.runs.keeping import problems
from polypda.workflows.runs.source_package import read_source_package

METHOD = "self-training rounds"


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
            raise PolypdaError("NONE", "it is computed again")

    def hold(path: Path) -> None:
        with locked(path.parent, "flips"):
            pass

    def whole(path: Path) -> None:
        if faults := problems(path.parent):
            raise PolypdaError("E_RUN_DAMAGED", faults[0].what)

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
            [path for path in (where / "predicted").rglob("*") if path.is_file()],
            lambda path: whole(where / "predicted" / CHECKSUMS),
        ),
    }


def flipped(count: int, root: Path, chance: random.Random) -> Iterator[dict[str, object]]:
    """Flip ``count`` bits, each kind in turn; what was noticed at the next use."""
    where = root / "flips"
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(root / "phantoms", where / "cache" / "phantoms")
    adapt.settle = lambda run: None  # for what is forked below: a run under way has states, and they can be hit
    for words in (
        ["adapt", *TINY, *METHODS[METHOD], "--out", "run"],
        ["source-package", "run", "--out", "package"],
        ["export", "run", "--to", "safetensors", "--out", "model.safetensors"],
        ["export", "run", "--to", "torchscript", "--out", "model.pt"],
        ["predict", "run", _images(where), "--out", "predicted"],
    ):
        ended = run(words, where, Plan())
        if ended.status:
            raise SystemExit(f"{words[0]}: {ended.said}")
    (where / "held").mkdir()
    holder = os.fork()
    if holder == 0:  # killed while it holds the folder: as it is, its lock is nobody's
        with locked(where / "held", "adapt"):
            os._exit(9)
    os.waitpid(holder, 0)
    content = (where / "held" / LOCK).read_bytes()
    kinds = _kinds(where)
    for number in range(count):
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
        print(f"flip {number + 1}/{count} {kind}, bit {bit} of {name}: {'; '.join(wrong) or 'noticed'}", flush=True)
        yield {"kind": f"flip, {kind}", "what": f"bit {bit} of {name}", "wrong": wrong}


def _images(where: Path) -> str:
    return next((where / "cache" / "phantoms").glob("*/haining/images")).as_posix()
