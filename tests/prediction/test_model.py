"""A model's file says all that is needed to run it, and a model predicts as the evaluation asks it."""

import json
import os
import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support.models import SPEC, facts_of, network, write_model, write_run
from support.painted import paint

from polypda.cohorts.field_of_view import RULE
from polypda.data.inference import Inference
from polypda.errors import DataError, UsageError
from polypda.networks.averaged_prediction import Asked
from polypda.networks.weights import save_module, training_identity
from polypda.prediction.facts import FACTS_KEY, ModelFacts
from polypda.prediction.model import read_facts, read_model, save_model
from polypda.workflows.runs.model_facts import load_model


def test_a_file_says_what_is_needed_to_run_it_to_any_reader(tmp_path):
    path = write_model(tmp_path / "model.safetensors")
    with safe_open(path, framework="numpy") as file:
        told = json.loads(file.metadata()[FACTS_KEY])
    assert told["format"] == 1 and told["network"]["encoder"] == SPEC.encoder and told["classes"][1] == "polyp"
    assert told["input"]["size"] == 64 and told["input"]["field_of_view_rule"] == RULE
    assert told["input"]["normalisation"]["mean"] == [0.485, 0.456, 0.406]
    assert "Not a medical device" in told["intended_use"]
    assert told["tensors_sha256"].startswith(training_identity(network()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def test_equal_models_make_equal_files(tmp_path):
    files = [write_model(tmp_path / name).read_bytes() for name in ("a.safetensors", "b.safetensors")]
    assert files[0] == files[1]


def test_a_model_predicts_as_the_evaluation_asks_it(tmp_path):
    inference = Inference(scales=(1, 2), flips=True)
    model = read_model(write_model(tmp_path / "model.safetensors", inference=inference))
    images = [paint(number)[0] for number in range(3)]
    found = model.predict(images)
    asked = Asked(model.facts.input.grid, inference, torch.device("cpu"))
    for image, one in zip(images, found, strict=True):
        native = model.prepare(image)
        alone = asked.native_probability(network(), native)
        np.testing.assert_allclose(one.probability, alone, atol=1e-6)
        assert one.mask.shape == image.shape[:2]
        np.testing.assert_array_equal(one.mask, (one.probability >= 0.5) & native.view.mask)
    assert any(one.mask.any() and not one.mask.all() for one in found), "a mask that says something"
    (single,) = model.predict(images[0])
    np.testing.assert_allclose(single.probability, found[0].probability, atol=1e-6)


def test_what_is_wanted_otherwise_is_asked_otherwise(tmp_path):
    path = write_model(tmp_path / "model.safetensors")
    image = paint(0)[0]
    low, high = (read_model(path, threshold=threshold).predict(image)[0].mask.sum() for threshold in (0.2, 0.8))
    assert low > high
    flipped = read_model(path, inference=Inference(flips=True)).predict(image)[0].probability
    assert np.abs(flipped - read_model(path).predict(image)[0].probability).max() > 1e-4


def test_weights_without_facts_are_refused_with_the_way_out(tmp_path):
    save_module(network(), tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match=r"E_MODEL_NO_FACTS bare(.|\n)*polypda export RUN"):
        read_model(tmp_path / "bare.safetensors")
    told = read_model(tmp_path / "bare.safetensors", facts=facts_of(network()))
    assert told.facts.tensors_sha256.startswith(training_identity(network()))


def test_changed_weights_or_another_rule_or_form_are_refused(tmp_path):
    built = network()
    facts = facts_of(built)
    changed = {key: value.clone() for key, value in built.state_dict().items()}
    changed[next(iter(changed))] += 1e-3
    told = facts.model_copy(
        update={"tensors_sha256": read_facts(write_model(tmp_path / "m.safetensors")).tensors_sha256}
    )
    save_file(changed, tmp_path / "changed.safetensors", metadata=told.metadata())
    with pytest.raises(DataError, match="E_MODEL_CHANGED"):
        read_model(tmp_path / "changed.safetensors")
    other = facts.input.model_copy(update={"field_of_view_rule": {**RULE, "lit_threshold": 9}})
    save_model(built, tmp_path / "other.safetensors", facts.model_copy(update={"input": other}))
    with pytest.raises(DataError, match=r"E_MODEL_FIELD_OF_VIEW(.|\n)*lit_threshold 9, here 22"):
        read_model(tmp_path / "other.safetensors")
    whole = other.model_copy(update={"crop_to_field_of_view": False})  # the rule decides nothing there
    save_model(built, tmp_path / "whole.safetensors", facts.model_copy(update={"input": whole}))
    assert read_model(tmp_path / "whole.safetensors").predict(paint(0)[0])
    with pytest.raises(DataError, match=r"E_MODEL_FORMAT(.|\n)*form 2"):
        ModelFacts.from_metadata({FACTS_KEY: json.dumps({"format": 2})}, "m")
    for broken in ("{}", "[]", "no JSON", json.dumps({"format": 1, "network": {}})):
        with pytest.raises(DataError, match="E_MODEL_FORMAT"):
            ModelFacts.from_metadata({FACTS_KEY: broken}, "m")


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8), 3])
def test_what_is_no_image_is_refused(tmp_path, image):
    model = read_model(write_model(tmp_path / "model.safetensors"))
    with pytest.raises(UsageError, match=r"E_IMAGE_ARRAY(.|\n)*BGR"):
        model.predict([image])
    with pytest.raises(UsageError, match="E_THRESHOLD"):
        read_model(tmp_path / "model.safetensors", threshold=1.5)


def test_a_run_gives_what_it_hands_out_or_a_model_by_name(tmp_path):
    write_run(tmp_path / "run")
    adapted = load_model(tmp_path / "run")
    assert adapted.facts.training.model == "adaptsegnet" and adapted.inference == Inference(
        scales=(1, 1.5), flips=True, peak=0.8
    )
    assert [(one.cohort, one.role) for one in adapted.facts.training.cohorts] == [
        ("zju2", "labelled source"),
        ("haining", "unlabelled target"),
    ]
    assert not adapted.facts.training.target_labels_used
    assert training_identity(adapted.network) == training_identity(network(0))
    (tmp_path / "alone").mkdir()
    write_run(tmp_path / "alone" / "run", method="source-only")
    control = load_model(tmp_path / "alone" / "run")
    assert control.facts.training.model == "source-only"
    assert [one.cohort for one in control.facts.training.cohorts] == ["zju2"], "it learnt nothing of the target"
    assert training_identity(control.network) == training_identity(network(1))


def test_models_that_are_not_there_are_told(tmp_path):
    write_run(tmp_path / "run")
    with pytest.raises(DataError, match="E_RUN_UNFINISHED"):  # the control with the target's statistics was not made
        load_model(tmp_path / "run", "adabn")
    with pytest.raises(DataError, match="E_RUN_MISSING"):
        load_model(tmp_path)
    with pytest.raises(DataError, match="E_WEIGHTS_MISSING"):
        load_model(tmp_path / "no.safetensors")
    with pytest.raises(UsageError, match="E_MODEL_NAME"):
        load_model(tmp_path / "run" / "adapted.safetensors", "source-only")


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current
