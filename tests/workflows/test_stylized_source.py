"""A run's source is restyled where its method asks for that, with the pretrained encoder or else the start's."""

import json

import pytest
import torch
from support.painted import write_frames

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.networks.registry import build_segmenter
from polypda.networks.weights import save_module
from polypda.training.progress import Silent
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.stylize import RECORD, stylized_source
from polypda.workflows.runs.trained_models import INITIAL


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts")
    cache = FrameCache(folder / "cache", NetworkGrid(32))
    source = cache.labelled(write_frames(folder / "source", 3, cohort="zju2"))
    return source, cache.unlabelled(write_frames(folder / "target", 2, cohort="haining", tint=(90, 130, 160)))


@pytest.fixture
def stylize(cached, tmp_path):
    def run(name, method="fcan", weights="none", **options):
        config = resolve_config(
            source="zju2",
            target="haining",
            method=method,
            preset_name="quick",
            phantom=False,
            top={"encoder_weights": weights},
            sections={"network": {}, "data": {"size": 32}, "compute": {"device": "cpu"}},
            options={"aan_steps": "2", **options} if method.startswith("fcan") else options,
        )
        folder = RunFolder.create(tmp_path / name, config)
        torch.manual_seed(0)
        save_module(build_segmenter(config.network), folder.folder / INITIAL, recorded=True)
        torch.manual_seed(1)
        save_module(build_segmenter(config.network), tmp_path / "start.safetensors")
        found = stylized_source(folder, *cached, tmp_path / "start.safetensors", tmp_path / "cache", Silent())
        record = folder.folder / RECORD
        return found, json.loads(record.read_text()) if record.exists() else None

    return run


def test_the_source_stays_as_it_is_unless_asked_for(stylize):
    assert stylize("plain", stylize="false") == (None, None)
    assert stylize("other", method="adaptsegnet") == (None, None)


def test_stylized_frames_reach_the_run_with_their_record(stylize, cached):
    found, record = stylize("styled", stylize="true")
    assert len(found) == 3 and found.masks is cached[0].masks
    assert (found.images[0] != cached[0].images[0]).any()
    assert record["settings"]["aan_steps"] == 2 and record["target_frames"] == 2
    again, second = stylize("combined", method="fcan+minent", stylize="true")
    assert second["cache"] == record["cache"] and (again.images[0] == found.images[0]).all()


def test_a_pretrained_encoder_is_preferred_to_the_starts(stylize):
    trained, pretrained = (stylize(weights, weights=weights, stylize="true")[1] for weights in ("none", "imagenet"))
    assert trained["encoder"] != pretrained["encoder"]
