"""Rounds, the guard, and the parts of a sum, through the real workflow on painted cohorts."""

import json
import re

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from support.painted import write_cohort

from polypda.errors import DataError
from polypda.training.progress import Silent
from polypda.training.pseudo_labels import FACTS, LABELS
from polypda.training.selectors import Choice, Verdict
from polypda.workflows.runs import adapt as adapt_module
from polypda.workflows.runs.adapt import adapt, open_data, start_run
from polypda.workflows.runs.adaptation import Adaptation
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.keeping import clean
from polypda.workflows.runs.model_facts import load_model
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.stages import StagePlan
from polypda.workflows.runs.trained_models import Snapshots
from polypda.workflows.scoring import side_by_side
from polypda.workflows.scoring.score_memory import ScoreMemory

WHOLE = "adaptsegnet+target-colours+self-training"
TOP = {
    "start_steps": 2,
    "adapt_steps": 8,
    "checkpoint_every": 2,
    "guard": False,
    "parts": "none",
    "final_statistics": "trained",
}
EVERY_PIXEL = {"rounds": 2, "polyp_from": 0.5, "background_to": 0.4999, "negative_to": 0.4999, "peak_from": 0}
EVERY_PIXEL["first_labels"] = "control"
"""So that a start of two steps labels every pixel of every frame."""


class Stops(Silent):
    """Interrupts stages after some of their steps, each once, as a power cut would: nothing is saved at that point."""

    def __init__(self, *where: tuple[str, int]) -> None:
        self.left, self.now = list(where), ""

    def begin(self, stage, start, steps):
        self.now = re.sub(r"^\d+/\d+ ", "", stage)

    def advance(self, step, report=None):
        if (self.now, step) in self.left:
            self.left.remove((self.now, step))
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_cohort(root, "zju2", count=9)
    write_cohort(root, "haining", count=9, tint=(150, 130, 60))
    return root


@pytest.fixture
def run_of(root, tmp_path):
    def run(name, progress=Silent(), *, method=WHOLE, options=EVERY_PIXEL, **top):
        config = resolve_config(
            source="zju2",
            target="haining",
            method=method,
            preset_name="quick",
            phantom=False,
            top=TOP | {"keep": "all"} | top,
            sections={
                "network": {"architecture": "unet", "encoder": "tu-mobilenetv3_small_050", "levels": 1},
                "data": {"size": 64, "batch_size": 2},
                "compute": {"device": "cpu"},
            },
            options=options,
        )
        paths = Paths(data_root=root, cache=tmp_path / "cache", overlays=1)
        pair = open_data(config, paths)
        here = start_run(tmp_path / name, config, paths, pair)
        while True:
            try:
                adapt(here, paths, pair, progress)
            except KeyboardInterrupt:
                continue
            return here

    return run


def same(one, other):
    one, other = load_file(one), load_file(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_rounds_resume_bit_exactly_and_each_begins_from_the_start(run_of):
    whole = run_of("whole")
    stops = Stops(("labelling the target", 2), (f"{WHOLE}.round-1", 3), (WHOLE, 3))
    cut = run_of("cut", stops)
    assert not stops.left and same(whole.folder / "adapted.safetensors", cut.folder / "adapted.safetensors")
    first, last = (whole.stage(name) for name in (f"{WHOLE}.round-1", WHOLE))
    assert [len((stage / "events.jsonl").read_text().splitlines()) for stage in (first, last)] == [4, 4]
    for stage in (first, last):
        facts = json.loads((stage / FACTS).read_text())
        assert facts["frames"] == len(facts["indices"]) == 6
    # the second round is taught by the first's student
    assert (first / LABELS).read_bytes() != (last / LABELS).read_bytes()
    events = [json.loads((stage / "events.jsonl").read_text().splitlines()[0]) for stage in (first, last)]
    assert events[0]["losses"]["segmenter"]["seg_main"] == events[1]["losses"]["segmenter"]["seg_main"]


def test_the_guard_keeps_the_source_model_where_nothing_is_found(run_of):
    run = run_of(
        "nothing", guard=True, options={"rounds": 2, "polyp_from": 0.999, "background_to": 0.001, "negative_to": 0}
    )
    choice = Choice.from_json((run.folder / "selection.json").read_text())
    assert choice.verdict is Verdict.SOURCE and "0 of 6 frames teach" in choice.alarms[0]
    control = run.stage("source-only") / "step-000008" / "segmenter.safetensors"
    assert same(run.folder / "adapted.safetensors", control)
    page = (run.report / "index.html").read_text()
    assert "Keep the source model: what was adapted is set aside" in page
    cases = pd.read_csv(run.report / "cases.csv").pivot_table(index="frame", columns="model", values="dice")
    assert (cases[WHOLE] == cases["source-only"]).all()


def test_without_the_guard_nothing_to_learn_is_an_error(run_of):
    with pytest.raises(DataError, match=r"E_PSEUDO_EMPTY.*0 of 6 frames teach"):
        run_of("unguarded", options={"rounds": 2, "polyp_from": 0.999, "background_to": 0.001, "negative_to": 0})


def test_parts_are_rows_of_the_table_with_the_methods_budget(run_of, root, tmp_path, monkeypatch):
    learnt, build = {}, StagePlan.method

    def remembered(plan, start, labelled=None, target=None, number=None):
        learnt[plan.config.method] = labelled
        return build(plan, start, labelled, target, number)

    monkeypatch.setattr(StagePlan, "method", remembered)
    monkeypatch.setattr(adapt_module, "stylized_source", lambda run, source, *_: source)
    run = run_of("parts", parts="all", adapt_steps=2)
    cases = pd.read_csv(run.report / "cases.csv")
    parts = ["adaptsegnet", "adaptsegnet+target-colours"]
    assert list(dict.fromkeys(cases["model"])) == ["source-only", "adabn", *parts, WHOLE]
    assert list(learnt) == [WHOLE, *parts] or list(learnt) == [*parts, WHOLE]
    assert len({id(source) for source in learnt.values()}) == 1 and None not in learnt.values(), (
        "restyled for one alone"
    )
    for part in parts:
        stage = run.stage(part)
        assert len((stage / "events.jsonl").read_text().splitlines()) == 2
        assert same(run.folder / f"part-{part}.safetensors", stage / "step-000002" / "segmenter.safetensors")

    clean(run.folder, models=True)
    assert not list(run.folder.glob("part-*")) and not list(run.stage(WHOLE).glob("step-*"))
    with pytest.raises(DataError, match=f"E_MODEL_NOT_KEPT.*'{parts[0]}', a part of"):
        load_model(run.folder, parts[0])
    paths = Paths(data_root=root, cache=tmp_path / "cache", overlays=0)
    page = adapt(run, paths, open_data(run.config(), paths, run), Silent())
    again = pd.read_csv(run.report / "cases.csv")
    pd.testing.assert_frame_equal(again, cases[~cases["model"].isin(parts)].reset_index(drop=True))
    assert f"the run did not keep their models: {', '.join(parts)}." in page.read_text()


@pytest.mark.parametrize(
    ("first", "stages"), [("start", ["start"]), ("control", ["source-only"]), ("agreement", ["source-only", "adabn"])]
)
def test_the_first_labels_are_those_of_the_model_that_is_asked_for(run_of, monkeypatch, first, stages):
    asked = []

    def labelled(self, of, labellers, rule):
        asked.extend(labellers)
        raise DataError("E_ENOUGH", "seen")

    monkeypatch.setattr(Adaptation, "_labelled", labelled)
    with pytest.raises(DataError, match="E_ENOUGH"):
        run_of(first, options=EVERY_PIXEL | {"first_labels": first}, adapt_steps=2)
    assert [labeller.parts[-3] for labeller in asked] == stages


def test_scoring_in_processes_gives_the_same_rows_and_a_scored_snapshot_is_not_scored_again(
    run_of, root, tmp_path, monkeypatch
):
    dice, score, computed = Snapshots.dice, Snapshots._dice_of, []
    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "dice", lambda self, frames, progress, known: dice(self, frames, progress))
        run = run_of("run", method="adaptsegnet", options={})
    before = {name: pd.read_csv(run.report / name) for name in ("cases.csv", "selectors.csv")}

    monkeypatch.setattr(ScoreMemory, "recall", lambda *_: None)
    monkeypatch.setattr(side_by_side, "LEAST_PREDICTIONS", 0)
    monkeypatch.setattr(side_by_side, "several_at_once", lambda compute: True)
    monkeypatch.setattr(
        Snapshots, "_dice_of", lambda self, step, frames: computed.append(step) or score(self, step, frames)
    )
    paths = Paths(data_root=root, cache=tmp_path / "cache", overlays=0)
    adapt(run, paths, open_data(run.config(), paths, run), Silent())
    assert len(computed) == len(list(run.stage("adaptsegnet").glob("step-*"))) - 1 > 0
    for name, table in before.items():
        pd.testing.assert_frame_equal(pd.read_csv(run.report / name), table, check_exact=name == "cases.csv")
