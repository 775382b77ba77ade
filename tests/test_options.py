from pathlib import Path

import pytest

from polypda.cohorts.catalogue import parse_manifest
from polypda.methods.registry import method_options
from polypda.options import FORMER_NAMES, with_present_names
from polypda.training.config import AdaptConfig
from polypda.workflows.runs.configure import resolve_config


def resolved(options, source, target, method):
    sections = {"network": {}, "data": {}, "compute": {}}
    return resolve_config(
        source=source,
        target=target,
        method=method,
        preset_name="quick",
        phantom=True,
        top={},
        sections=sections,
        options=options,
    )


def test_former_names_are_read_at_every_depth_and_a_present_one_wins():
    given = {"rate": 1, "options": [{"warmup_share": 0.1}], "learning_rate": 2, "kept": ("x", {"stylise": True})}
    present = {"learning_rate": 2, "options": [{"warmup_fraction": 0.1}], "kept": ("x", {"stylize": True})}
    assert with_present_names(given) == present
    assert with_present_names(with_present_names(given)) == present


def test_no_present_name_is_a_former_one():
    assert not set(FORMER_NAMES) & set(FORMER_NAMES.values())


@pytest.mark.parametrize(
    ("method", "former", "present"),
    [("adaptsegnet", "discriminator_rate", "discriminator_learning_rate"), ("fda", "fda_share", "fda_fraction")],
)
def test_a_methods_options_are_taken_by_their_former_names(method, former, present):
    assert getattr(method_options(method, {former: 0.05}), present) == 0.05


def test_a_configuration_of_an_earlier_version_is_read():
    pair = {"source": "zju2", "target": "haining", "method": "adaptsegnet"}
    written = resolved({}, **pair)
    given = written.model_dump(mode="json", exclude={"recompute_batch_norm"})
    former = {"supervised": {"rate": 0.5}, "options": {"warmup_share": 0.2}, "settle_statistics": True}
    read = AdaptConfig.model_validate(given | former)
    assert read.supervised["learning_rate"] == 0.5 and read.recompute_batch_norm
    assert read.options["warmup_fraction"] == 0.2


def test_a_former_name_on_the_command_line_is_heard_over_the_presets_value():
    config = resolved({"rate": "0.25", "discriminator_rate": "0.5"}, "zju2", "haining", "adaptsegnet")
    assert config.supervised["learning_rate"] == 0.25 and config.options["discriminator_learning_rate"] == 0.5


def test_a_manifest_of_an_earlier_version_is_read():
    text = (Path(__file__).parent.parent / "cohorts" / "zju2.yaml").read_text(encoding="utf-8")
    assert "width_fraction" in text
    assert parse_manifest(text.replace("width_fraction", "width_share"), where="x") == parse_manifest(text, where="x")
