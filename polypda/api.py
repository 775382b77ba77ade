"""What `import polypda` offers: the commands as functions, and models that predict. Thin: the workflows do the work.

Options are those of the commands, by the same names with underscores; they are declared once, where the command line
takes them from. Errors are :class:`~polypda.errors.PolypdaError` with the codes that the commands print.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from polypda.cohorts.named_root import VARIABLE, data_root_named
from polypda.methods.index import DEFAULT_METHOD
from polypda.plugins import REGISTERED
from polypda.workflows.runs.paths import DEFAULT_OVERLAYS, Paths, default_cache

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from polypda.cohorts.frames import OpenedCohort
    from polypda.data.inference import Inference
    from polypda.evaluation.cases.evaluation_file import Evaluation
    from polypda.prediction.facts import ModelFacts
    from polypda.prediction.model import ImagePrediction, LoadedModel
    from polypda.training.progress import Progress

    Image = NDArray[np.uint8] | str | os.PathLike[str]

DEFAULT_BATCH = 8


class Model:
    """A segmenter with all that is needed to run it, ready to predict.

    facts: what it says of itself (network, input size, cohorts it was trained on, licences, intended use).
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    @property
    def facts(self) -> ModelFacts:
        """What the model says of itself."""
        return self._loaded.facts

    @property
    def threshold(self) -> float:
        """The probability from which on a pixel is marked, in (0, 1)."""
        return self._loaded.threshold

    @overload
    def predict(  # type: ignore[overload-overlap]  # a path is text, which is a sequence of text as well
        self, images: Image, *, batch_size: int = DEFAULT_BATCH
    ) -> ImagePrediction: ...

    @overload
    def predict(self, images: Sequence[Image], *, batch_size: int = DEFAULT_BATCH) -> list[ImagePrediction]: ...

    def predict(self, images: Any, *, batch_size: int = DEFAULT_BATCH) -> Any:
        """Predict one image or several, each at its own size.

        Args:
            images: uint8 H×W×3, RGB, 0–255; or the path of an image file, which is turned upright by its EXIF
                orientation as by `polypda predict`; or a sequence of either; or a uint8 B×H×W×3 array, which is taken
                as B images.
            batch_size: images that pass the network together.

        Returns: of one image a prediction, of several a list of them. Each has ``probability`` (float32 H×W, P(polyp)
            in [0, 1] on the grid of the image as it is seen, 0 outside the field of view), ``mask`` (bool H×W) and
            ``view`` (the field of view that was found).

        Raises: UsageError E_IMAGE_ARRAY for another type or shape; DataError E_IMAGE_MISSING and others for a file
            that cannot be read, E_IMAGE_DRAWING for one that is no frame.
        """
        if isinstance(images, (str, os.PathLike)) or getattr(images, "ndim", 4) == 3:
            return self._predict([images], batch_size)[0]
        return self._predict(images, batch_size)

    def _predict(self, images: Sequence[Image], batch_size: int) -> list[ImagePrediction]:
        from polypda.importing.images.decoded_image import read_upright

        found: list[ImagePrediction] = []
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            arrays = [read_upright(Path(one)) if isinstance(one, (str, os.PathLike)) else one for one in part]
            found += self._loaded.predict(arrays, batch_size)
        return found


@dataclass(frozen=True)
class Run:
    """A finished adaptation on disk. folder: of the run. page: of its report, an HTML file that stands by itself."""

    folder: Path
    page: Path

    def evaluation(self) -> Evaluation:
        """The scored frames: ``cases`` (a row per model and frame) and ``statement`` (what holds for all of them).

        Raises: DataError E_EVALUATION_MISSING where nothing was scored.
        """
        from polypda.evaluation.cases.evaluation_file import read_evaluation

        return read_evaluation(self.folder / "report")

    def results(self) -> pd.DataFrame:
        """What each model scores in each centre, beside source-only: a row per cohort and model.

        Columns: see :func:`polypda.evaluation.aggregation.centres.centre_table`, among them ``dice_frame``,
        ``delta_dice_frame`` with its interval ``delta_low`` and ``delta_high``, ``p_holm``, ``frame_specificity``.
        """
        from polypda.evaluation.aggregation.cross_centre import cross_centre_results

        return cross_centre_results([self.evaluation()]).centres

    def model(self, name: str | None = None) -> Model:
        """A model of the run; by default the one that it hands out. Raises: as :func:`load`."""
        return load(self.folder, name)


def load(
    path: str | os.PathLike[str],
    model: str | None = None,
    *,
    device: str = "auto",
    threshold: float | None = None,
    inference: Inference | str | None = None,
) -> Model:
    """Load a model from its file, or from the run folder that holds it.

    Args:
        path: a .safetensors file with its facts, or a run folder.
        model: of a run, one of the names in its tables, such as "source-only"; by default the one that it hands out.
        device: auto, cpu, cuda or mps.
        threshold: in (0, 1), in place of the model's own.
        inference: in place of the model's own; text as ``--inference`` takes it, such as
            "scales=1,1.5,2,flips=yes".

    Raises: UsageError E_MODEL_NAME, E_THRESHOLD, E_DEVICE; DataError E_RUN_MISSING, E_RUN_UNFINISHED,
        E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE, E_MODEL_NO_FACTS, E_MODEL_CHANGED, E_MODEL_FIELD_OF_VIEW.

    >>> import numpy as np
    >>> import polypda
    >>> model = polypda.load("runs/zju2-to-haining-adaptsegnet-s0-phantom")
    >>> one = model.predict(np.full((288, 384, 3), 90, np.uint8))
    >>> one.probability.shape, one.mask.dtype
    ((288, 384), dtype('bool'))
    """
    from polypda.training.config import Compute
    from polypda.training.engine import open_fabric
    from polypda.workflows.runs.model_facts import load_model

    asked = _inference(inference)
    chosen = open_fabric(Compute(device=device), one_process=True).device
    return Model(load_model(Path(path), model, inference=asked, threshold=threshold, device=chosen))


def adapt(
    source: str | None,
    target: str,
    method: str = DEFAULT_METHOD,
    *,
    method_options: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    start: str | os.PathLike[str] | None = None,
    source_package: str | os.PathLike[str] | None = None,
    overlays: int | None = DEFAULT_OVERLAYS,
    mlflow_uri: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **options: Any,
) -> Run:
    """Adapt a segmenter from one cohort to another without the target's labels, and report whether it helped.

    Trains a source-only start, adapts it, trains its equal-budget control, and scores all on the held-out part of both
    cohorts at native resolution: what `polypda adapt` does.

    Args:
        source, target: cohort ids (`polypda cohorts list`); source is None where a source package stands for it.
        method: a name of `polypda methods`, or a sum such as "adaptsegnet+minent".
        method_options: of the method, as `polypda methods NAME` lists them.
        out: the run's folder; by default runs/SOURCE-to-TARGET-METHOD-sSEED.
        start: folder of a run whose source-only start is reused. source_package: see `polypda source-package`.
        overlays: frames that are drawn per cohort; None: all of them.
        mlflow_uri: where ``log_to="mlflow"`` sends the run; by default it stays in the run's folder.
        data_root: folder of the cohorts' folders; by default POLYPDA_DATA, else ./data.
        cache: folder of decoded frames; by default POLYPDA_CACHE, else the user's cache folder.
        progress: False writes nothing to standard error.
        options: every further option of `polypda adapt --help` by its name, such as ``preset="quick"``,
            ``phantom=True``, ``size=192``, ``seed=1``, ``device="cuda"``, ``adapt_steps=400``. ``trainings_at_once`` is
            1 where something was registered in this process: others do not know it.

    Raises: UsageError E_COHORT_UNKNOWN, E_METHOD_UNKNOWN, E_METHOD_OPTION, E_OPTION…; DataError E_COHORT_ABSENT…;
        LeakageError where held-out frames are not independent; Interrupted: :func:`resume` goes on.

    >>> import polypda
    >>> run = polypda.adapt(
    ...     "zju2", "haining", "adaptsegnet", method_options={"lambda_adv_main": 0.002}, phantom=True, progress=False
    ... )
    >>> run.folder.as_posix()
    'runs/zju2-to-haining-adaptsegnet-s0-phantom'
    >>> run.page.name
    'index.html'
    >>> sorted(run.results()["model"].unique())
    ['adabn', 'adaptsegnet', 'source-only']
    """
    from polypda.workflows.runs.launch import all_options, launch, require_taken

    if REGISTERED:
        options.setdefault("trainings_at_once", 1)
    given = {**options, **({} if source is None else {"source": source}), "target": target, "method": method}
    chosen = all_options(given)
    require_taken(
        [*given, *(["start"] if start else [])],
        source_package=source_package is not None,
        phantom=bool(chosen["phantom"]),
    )
    paths = Paths(
        _data_root(data_root),
        _cache(cache),
        encoder_weights=chosen["encoder_weights"],
        start=_path(start),
        overlays=overlays,
        mlflow_uri=mlflow_uri,
    )
    with data_root_named(paths.data_root):
        run, pair = launch(
            chosen,
            paths,
            method_options=method_options or {},
            source_package=_path(source_package),
            out=_path(out),
        )
        return _finished(run, paths, pair, progress)


def resume(
    run: str | os.PathLike[str] | Run,
    *,
    overlays: int | None = DEFAULT_OVERLAYS,
    mlflow_uri: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Run:
    """Go on with an interrupted run; a finished one is scored and reported again. Arguments: as of :func:`adapt`.

    Raises: DataError E_RUN_MISSING, E_DATA_CHANGED; what :func:`adapt` raises.
    """
    from polypda.workflows.runs.launch import reopen

    paths = Paths(_data_root(data_root), _cache(cache), overlays=overlays, mlflow_uri=mlflow_uri)
    with data_root_named(paths.data_root):
        opened, pair = reopen(_folder(run), paths)
        return _finished(opened, paths, pair, progress)


def evaluate(
    run: str | os.PathLike[str] | Run | None = None,
    on: str | Sequence[str] = (),
    *,
    predictions: Mapping[str, str | os.PathLike[str]] | None = None,
    fuse: Sequence[str | os.PathLike[str] | Run] = (),
    profile: str = "polypda",
    frames: str | os.PathLike[str] | None = None,
    scale: Mapping[str, str] | str | None = None,
    missing: str = "error",
    trained_on: str | None = None,
    out: str | os.PathLike[str] | None = None,
    allow_leakage: bool = False,
    data_root: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Evaluation:
    """Score every model of a run, or maps made elsewhere, on cohorts at native resolution: `polypda evaluate`.

    Args:
        run: a run folder; None where ``predictions`` are scored.
        on: COHORT[:PART], or several; PART is test (default), train, validation or all.
        predictions: name → folder of maps (PNG or NPY, named as the frames).
        scale: what the values of the maps mean, for all or by name, such as "0-255".
        fuse, profile, frames, missing, trained_on, out, allow_leakage: see `polypda evaluate --help`.
        data_root, cache, progress: as of :func:`adapt`.

    Returns: the evaluation: ``cases``, a DataFrame with a row per model and frame (``dice``, ``iou``, ``hd95_px``…);
        ``statement``; ``folder``, where cases.csv, evaluation.json and the tables lie.

    Raises: UsageError E_OPTION, E_PART, E_SCALE; DataError E_RUN_MISSING, E_RUN_UNFINISHED, E_NO_LABELS,
        E_PREDICTION_…; LeakageError where a model has learnt scored frames.

    >>> import polypda
    >>> run = "runs/zju2-to-haining-adaptsegnet-s0-phantom"
    >>> scored = polypda.evaluate(run, on="haining", progress=False)
    >>> sorted(scored.cases["model"].unique())
    ['adabn', 'adaptsegnet', 'source-only']
    """
    from polypda.evaluation.cases.evaluation_file import read_evaluation
    from polypda.workflows.scoring.request import EVERY_FOLDER
    from polypda.workflows.scoring.request import evaluate as evaluated

    paths = Paths(_data_root(data_root), _cache(cache))
    scales = {EVERY_FOLDER: scale} if isinstance(scale, str) else scale or {}
    with data_root_named(paths.data_root):
        folder = evaluated(
            [on] if isinstance(on, str) else on,
            paths,
            _progress(progress),
            run=None if run is None else _folder(run),
            predictions=[(name, Path(one)) for name, one in (predictions or {}).items()],
            fuse=[_folder(one) for one in fuse],
            profile=profile,
            frames=_path(frames),
            scale=list(scales.items()),
            missing=missing,
            trained_on=trained_on,
            out=_path(out),
            allow_leakage=allow_leakage,
        )
    return read_evaluation(folder)


def report(
    runs: str | os.PathLike[str] | Run | Evaluation | Sequence[str | os.PathLike[str] | Run | Evaluation],
    out: str | os.PathLike[str],
    *,
    study: str | os.PathLike[str] | None = None,
    overlays: bool = True,
    title: str | None = None,
    force: bool = False,
) -> Path:
    """Compare every model of runs with source-only in every centre: page, tables, figures, model card, checklist.

    Args:
        runs: run folders, or folders of an evaluation, one or several; of a run its later evaluations are taken, too.
        out: folder of the report; must not exist, unless ``force`` replaces a former report there.
        study: a study file, for what only people can say. overlays: False for a report that will be published.

    Returns: the page, an HTML file.
    Raises: UsageError E_REPORT_EMPTY, E_STUDY_…; DataError E_REPORT_EXISTS, E_EVALUATION_MISSING.

    >>> import polypda
    >>> polypda.report("runs/zju2-to-haining-adaptsegnet-s0-phantom", "reports/first", overlays=False).as_posix()
    'reports/first/index.html'
    """
    from polypda.workflows.runs.reports import report as written

    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    folders = [_folder(one) for one in several]
    return written(folders, Path(out), study=_path(study), overlays=overlays, title=title, force=force)


def open_cohort(
    cohort: str, data_root: str | os.PathLike[str] | None = None, *, labels: bool = True, allow_leakage: bool = False
) -> OpenedCohort:
    """Find a cohort's frames below the data root, with their split; no image is read.

    Args:
        cohort: an id, or ID:MODE for the frames of one imaging mode.
        data_root: folder of the cohorts' folders; by default POLYPDA_DATA, else ./data.
        labels: False looks for no mask and no box.
        allow_leakage: True takes a split that divides patients or sequences as it is.

    Returns: the cohort; ``frames`` (each with ``image``, ``mask``, ``patient``, ``split``…), ``counts()``, ``table()``.
    Raises: UsageError E_COHORT_UNKNOWN; DataError E_COHORT_ABSENT, E_MASK_MISSING…; LeakageError E_SPLIT_LEAK.

    >>> from pathlib import Path
    >>> import polypda
    >>> from polypda.phantom import render_cohort
    >>> from polypda.cohorts.catalogue import manifest
    >>> folder = render_cohort(manifest("zju2"), frames=6, out=Path("rendered"), seed=0)
    >>> cohort = polypda.open_cohort("zju2", "rendered")
    >>> len(cohort.frames), sum(cohort.counts().values())
    (6, 6)
    """
    from polypda.cohorts.opening import open_cohort as opened

    return opened(cohort, _data_root(data_root), labels=labels, allow_leakage=allow_leakage)


def _finished(run: Any, paths: Paths, pair: Any, progress: bool) -> Run:
    from polypda.workflows.runs.adapt import adapt as adapted

    return Run(run.folder, adapted(run, paths, pair, _progress(progress)))


def _progress(shown: bool) -> Progress:
    from polypda.cli.console import terminal_progress
    from polypda.training.progress import Silent

    return terminal_progress() if shown else Silent()


def _inference(wanted: Inference | str | None) -> Inference | None:
    from polypda.data.inference import Inference

    return None if wanted is None else Inference.model_validate(wanted)


def _data_root(given: str | os.PathLike[str] | None) -> Path:
    return Path(given if given is not None else os.environ.get(VARIABLE) or "data")


def _cache(given: str | os.PathLike[str] | None) -> Path:
    return default_cache() if given is None else Path(given)


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)


def _folder(one: Any) -> Path:
    """Of a run or an evaluation, or what names it."""
    return Path(getattr(one, "folder", one))
