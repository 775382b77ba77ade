"""Which settings two trainings must share before one stands for the other: all that nobody has set free."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from polypda.data.cache import NetworkGrid
from polypda.data.geometry import Fit
from polypda.data.labels import BoxSupervision
from polypda.errors import DataError
from polypda.training.config import AdaptConfig, Parts
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.reuse import (
    CONTROL_MAY_DIFFER,
    ORACLE_MAY_DIFFER,
    RUN_MAY_DIFFER,
    START_MAY_DIFFER,
    differing,
    flat,
    require_same_start,
)

MUST_AGREE = {
    *("source", "phantom", "phantom_frames", "phantom_test_frames", "phantom_seed"),
    *("seed", "encoder_weights", "source_package"),
    *("network.architecture", "network.encoder", "network.encoder_weights", "network.levels"),
    *(
        "network.two_branch_quirk",
        "network.decoder",
        "data.size",
        "data.fit",
        "data.crop_to_field_of_view",
        "data.batch_size",
    ),
    *(
        "data.augmentation",
        "data.augment_on",
        "data.polyp_free",
        "data.prevalence",
        "data.box_supervision",
        "compute.precision",
        "compute.processes",
        "compute.joint_batch_norm",
        "compute.compile",
    ),
    *("start_steps", "supervised", "start", "recompute_batch_norm", "clip_norm", "ema_decay"),
}
"""What decides a start. A field that is neither here nor free to differ was never thought about."""


def config(**top) -> AdaptConfig:
    return resolve_config(
        source="zju2",
        target="haining",
        method="adaptsegnet",
        preset_name="quick",
        phantom=False,
        top=top,
        sections={"network": {}, "data": {}, "compute": {}},
        options={},
    )


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        section = isinstance(kind, type) and issubclass(kind, BaseModel)
        found |= leaves(kind, f"{prefix}{name}.") if section else {prefix + name}
    return found


def changed(one: AdaptConfig, path: str) -> AdaptConfig:
    """The configuration with another value at one field, whatever its type."""
    name, _, rest = path.partition(".")
    value = getattr(one, name)
    return one.model_copy(update={name: value.model_copy(update={rest: object()}) if rest else object()})


def test_every_field_is_classified():
    """Fails for a new field: put it into MUST_AGREE here, or into the list of those that may differ."""
    every = leaves(AdaptConfig)
    assert set(flat(config())) == every
    assert not MUST_AGREE & START_MAY_DIFFER
    assert every == MUST_AGREE | START_MAY_DIFFER
    assert {"adapt_steps", "batch_norm", "frozen_stages"} == START_MAY_DIFFER - CONTROL_MAY_DIFFER
    assert ORACLE_MAY_DIFFER <= CONTROL_MAY_DIFFER and RUN_MAY_DIFFER < CONTROL_MAY_DIFFER


def test_a_run_of_an_earlier_version_trained_all_parts_or_none():
    assert [config(parts=former).parts for former in (True, False, "first")] == [Parts.ALL, Parts.NONE, Parts.FIRST]


@pytest.mark.parametrize("path", sorted(leaves(AdaptConfig)))
def test_a_field_is_compared_unless_it_may_differ(path):
    one = config()
    for free in (START_MAY_DIFFER, CONTROL_MAY_DIFFER, RUN_MAY_DIFFER):
        assert differing(one, changed(one, path), free) == ([] if path in free else [path])


def test_a_start_of_another_precision_is_refused(tmp_path: Path):
    run = RunFolder.create(tmp_path / "run", config())
    one = config()
    other = one.model_copy(update={"compute": one.compute.model_copy(update={"precision": "64-true"})})
    with pytest.raises(DataError, match=r"E_START_DIFFERS run: .*compute\.precision"):
        require_same_start(run.folder, other)
    with pytest.raises(DataError, match="E_START_MISSING"):
        require_same_start(run.folder, config(adapt_steps=7, batch_norm="frozen"))
    with pytest.raises(DataError, match=r"source \(zju2 instead of ningbo\)"):
        require_same_start(run.folder, one.model_copy(update={"source": "ningbo"}))


def test_every_setting_of_the_grid_is_in_the_key_of_what_is_cached():
    """Cached frames and remembered scores are taken wherever the key is the same."""
    other = {"size": 128, "fit": Fit.LETTERBOX, "crop_to_field_of_view": False}
    grid = NetworkGrid(64)
    assert set(vars(grid)) == set(other)
    for name, value in other.items():
        assert NetworkGrid(**{**vars(grid), name: value}).key() != grid.key()


def test_box_supervision_decides_what_a_start_learnt():
    one = config()
    data = one.data.model_copy(update={"box_supervision": BoxSupervision.FILLED})
    assert differing(one, one.model_copy(update={"data": data}), START_MAY_DIFFER) == ["data.box_supervision"]
