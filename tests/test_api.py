"""`import polypda`: what it offers, lazily and typed; every example in its docstrings runs."""

import ast
import doctest
import inspect
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.models import network, write_model
from support.models import write_run as write_finished_run
from support.painted import write_cohort

import polypda
from polypda import api, metrics
from polypda.errors import PolypdaError
from polypda.methods import registry as methods
from polypda.methods.segmentation import SourceOnly
from polypda.networks.registry import Network, build_segmenter, register_network
from polypda.networks.registry import SegmenterSpec as Spec
from polypda.training.config import AdaptConfig
from polypda.workflows.runs.presets import PRESETS

RUN = "runs/zju2-to-haining-adaptsegnet-s0-phantom"


SMALL = {
    "network": {"architecture": "fpn", "encoder": "tu-mobilenetv3_small_050", "levels": 1},
    "encoder_weights": "none",
    "data": {"size": 64, "batch_size": 2},
    "compute": {"threads": 1, "trainings_at_once": 1},
    "start_steps": 2,
    "adapt_steps": 2,
    "checkpoint_every": 2,
    "inference": {"scales": (1.0,)},
    "phantom_frames": 18,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLYPDA_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run_examples(*documented):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    counted = 0
    for one in documented:
        for example in doctest.DocTestFinder(recurse=False).find(one, globs={}):
            counted += len(example.examples)
            output = []
            runner.run(example, out=output.append)
            assert not runner.failures, "".join(output)
    return counted


def test_every_example_runs_in_order(folder, monkeypatch):
    monkeypatch.setitem(PRESETS, "quick", {**PRESETS["quick"], **SMALL})
    used = (polypda, polypda.open_cohort, polypda.adapt, polypda.load, polypda.evaluate, polypda.report)
    assert run_examples(*used) > 12
    assert run_examples(metrics, metrics.frame_metrics) > 8
    finished = polypda.Run(Path(RUN), Path(RUN, "report", "index.html"))
    assert finished.page.is_file()
    assert finished.model("source-only").facts.training.model == "source-only"
    assert set(finished.evaluation().cases["cohort"]) == {"zju2", "haining"}
    with pytest.raises(PolypdaError, match="E_RUN_EXISTS"):
        polypda.adapt("zju2", "haining", "adabn", phantom=True, out=RUN, progress=False)


def test_every_name_is_there_and_documented_and_seen_by_type_checkers():
    source = ast.parse(Path(polypda.__file__).read_text(encoding="utf-8"))
    typed = next(node for node in source.body if isinstance(node, ast.If))
    told = {alias.asname: node.module for node in typed.body for alias in node.names}
    assert set(told) == set(polypda.__all__) <= set(dir(polypda))
    for name in polypda.__all__:
        value = getattr(polypda, name)
        assert inspect.getdoc(value), name
        assert name == "metrics" or value.__module__ == told[name] or name == "metrics", name
    with pytest.raises(AttributeError, match="no attribute 'adpt'"):
        _ = polypda.adpt


def test_an_option_that_is_not_known_is_named_before_anything_is_done(folder):
    began = time.monotonic()
    with pytest.raises(PolypdaError, match=r"E_OPTION.*Did you mean 'batch_size'"):
        polypda.adapt("zju2", "haining", phantom=True, bach_size=2)
    with pytest.raises(PolypdaError, match="E_METHOD_OPTION"):
        polypda.adapt("zju2", "haining", "adaptsegnet", method_options={"lamda": 1}, phantom=True)
    with pytest.raises(PolypdaError, match="E_OPTION"):
        polypda.adapt("zju2", "haining", phantom_frames=8)
    assert time.monotonic() - began < 60 and not list(folder.iterdir())


def test_no_option_of_the_configuration_is_declared_again():
    from polypda.options import options_of

    own = set(inspect.signature(api.adapt).parameters)
    assert own & {known.name for known in options_of(AdaptConfig)} == {"source", "target", "method"}


def test_a_model_predicts_an_image_a_path_and_a_batch(folder):
    write_model(folder / "model.safetensors")
    write_cohort(folder, "zju2")
    paths = sorted((folder / "zju2").rglob("images/*"))[:3]
    model = polypda.load(folder / "model.safetensors", device="cpu")
    one = model.predict(paths[0])
    from polypda.cohorts.images import read_image

    images = [read_image(path) for path in paths]
    height, width = images[0].shape[:2]
    assert one.probability.shape == one.mask.shape == (height, width)
    assert np.array_equal(model.predict(images[0]).probability, one.probability)
    batch = model.predict(np.stack([images[0]] * 2), batch_size=1)
    several = model.predict([paths[0], images[1], str(paths[2])], batch_size=2)
    assert [len(batch), len(several)] == [2, 3]
    assert np.allclose(several[0].probability, one.probability, atol=1e-5)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(images[0]).save(folder / "turned.png", exif=exif)
    upright = np.ascontiguousarray(np.rot90(images[0], -1))
    turned = model.predict(folder / "turned.png").mask
    assert turned.shape == (width, height) and (turned == model.predict(upright).mask).all(), "as `polypda predict`"
    Image.fromarray((images[0] > 128).astype(np.uint8) * 255).convert("L").point(lambda v: 255 * (v > 99)).save("a.png")
    with pytest.raises(PolypdaError, match="E_IMAGE_DRAWING"):
        model.predict("a.png")
    assert np.array_equal(one.mask, (one.probability >= model.threshold) & one.view.mask)
    strict = polypda.load(folder / "model.safetensors", threshold=0.9, inference="scales=1,1.5,flips=yes", device="cpu")
    assert strict.threshold == 0.9 and strict.predict(paths[0]).mask.sum() <= one.mask.sum()
    with pytest.raises(PolypdaError, match="E_IMAGE_ARRAY"):
        model.predict(np.zeros((8, 8, 3)))
    with pytest.raises(PolypdaError, match="E_IMAGE_MISSING"):
        model.predict("nowhere.png")


def test_a_model_of_a_run_is_loaded_by_name(folder):
    write_finished_run(folder / "run")
    assert polypda.load(folder / "run", device="cpu").facts.training.model == "adaptsegnet"
    assert polypda.load(folder / "run", "source-only", device="cpu").facts.training.model == "source-only"
    with pytest.raises(PolypdaError, match="E_MODEL_NAME"):
        polypda.load(folder / "run", "sourceonly", device="cpu")


def test_what_a_script_registers_is_known_and_cannot_take_a_name(monkeypatch):
    class Mine(SourceOnly):
        """Source-only under another name."""

        name = "mine"
        title = "Mine"
        paper = "Nobody, 2030"

    class Mint(polypda.TargetTerm):
        """A term that does nothing."""

        name = "mint"
        title = "Mint"
        paper = "Nobody, 2030"

    for registry in (methods.METHODS, methods.TERMS):
        monkeypatch.setattr(registry, "_registered", {})
    assert polypda.register_method(Mine) is Mine and polypda.register_method(Mint) is Mint
    try:
        assert methods.method_class("mine+mint").title != Mine.title
        assert methods.method_class("mint").name == "mint"
        polypda.register_method(Mine)  # a cell of a notebook runs again
        for taken in (SourceOnly, type("Other", (Mine,), {"name": "adabn"})):
            with pytest.raises(PolypdaError, match="E_NAME_TAKEN"):
                polypda.register_method(taken)
        with pytest.raises(PolypdaError, match="E_REGISTER"):
            polypda.register_method(dict)
        with pytest.raises(PolypdaError, match="E_REGISTER"):
            polypda.register_selector(Mine)
    finally:
        for registry in (methods.METHODS, methods.TERMS):
            monkeypatch.undo()
            registry.look_again()
        methods.method_class.cache_clear()
    assert "mine" not in methods.METHODS and "mint" not in methods.TERMS


def test_a_registered_network_is_built(monkeypatch):
    from polypda.networks.registry import NETWORKS

    monkeypatch.setattr(NETWORKS, "_registered", {})
    register_network(Network("small", lambda spec: network(3), encoder="its-own", own_encoder=True))
    built = build_segmenter(Spec(architecture="small"))
    NETWORKS.look_again()
    assert torch.is_tensor(next(built.parameters()))
