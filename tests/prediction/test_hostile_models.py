"""Models and weights that somebody else made: nothing in them is run, and whatever is wrong with them has a code."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save
from support.models import SPEC, facts_of, network, write_model
from support.painted import write_frames

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.geometry import Fit
from polypda.errors import PolypdaError
from polypda.methods.source_features import load_source_features
from polypda.networks.encoder_weights import load_encoder_weights
from polypda.networks.registry import build_segmenter, load_segmenter
from polypda.networks.taps import FeatureTap
from polypda.networks.weights import read_state_dict
from polypda.prediction.export import read_facts_of
from polypda.prediction.facts import FACTS_KEY
from polypda.prediction.model import read_model, save_model
from polypda.workflows.runs.model_facts import load_model
from polypda.workflows.runs.source_package import read_source_package


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return exec, (f"open({str(self.mark)!r}, 'w').write('run')",)


@pytest.fixture
def mark(tmp_path):
    """Where code that was run would leave its mark; it must not."""
    path = tmp_path / "marked"
    yield path
    assert not path.exists(), "code of the file was run"


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network(seed).state_dict().items()}


def tensors(change=lambda state: None, metadata=None) -> bytes:
    made = state()
    change(made)
    return save(made, metadata or facts_of(network()).metadata())


def header(text: str, size: int | None = None, rest: bytes = b"") -> bytes:
    data = text.encode()
    return (len(data) if size is None else size).to_bytes(8, "little") + data + rest


def first(made: dict[str, torch.Tensor]) -> str:
    return next(key for key, value in made.items() if value.is_floating_point() and value.ndim == 4)


def told(**changes) -> dict[str, str]:
    """Metadata of facts that are changed below the schema."""
    values = json.loads(facts_of(network()).metadata()[FACTS_KEY])
    for path, value in changes.items():
        *sections, name = path.split("__")
        section = values
        for each in sections:
            section = section[each]
        section[name] = value
    return {FACTS_KEY: json.dumps(values)}


SAFETENSORS = {
    "empty": b"",
    "a few bytes": b"abc",
    "noise": np.random.default_rng(0).bytes(5_000),
    "zeros": bytes(5_000),
    "header of 1 TB": header("{}", 1 << 40),
    "header of all bits": header("{}", (1 << 64) - 1),
    "header longer than the file": header("{}", 500),
    "no JSON": header("{"),
    "a list": header("[]"),
    "deep header": header("[" * 100_000),
    "no end of a tensor": header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9999]}}', None, bytes(8)),
    "offsets backwards": header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', None, bytes(8)),
    "offsets over one another": header(
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        None, bytes(8)),
    "shape of another size": header('{"a":{"dtype":"F32","shape":[999999],"data_offsets":[0,8]}}', None, bytes(8)),
    "overflowing shape": header(
        '{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}', None, bytes(8)),
    "negative shape": header('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', None, bytes(8)),
    "unknown type": header('{"a":{"dtype":"X9","shape":[2],"data_offsets":[0,8]}}', None, bytes(8)),
    "no tensor": save({}),
    "cut": tensors()[:-1_000],
    "without a tensor": tensors(lambda made: made.pop(first(made))),
    "with a tensor too many": tensors(lambda made: made.update(extra=torch.zeros(3))),
    "of another shape": tensors(lambda made: made.update({first(made): torch.zeros(5, 5)})),
    "of whole numbers": tensors(lambda made: made.update({first(made): torch.zeros(9, dtype=torch.int64)})),
    "not a number": tensors(lambda made: made[first(made)].fill_(float("nan"))),
    "infinite": tensors(lambda made: made[first(made)].view(-1)[:1].fill_(float("inf"))),
    "of other weights": tensors(lambda made: made[first(made)].add_(1e-3)),
    "without facts": tensors(metadata={"x": "y"}),
    "facts that are no JSON": tensors(metadata={FACTS_KEY: "{"}),
    "facts within one another": tensors(metadata={FACTS_KEY: "[" * 100_000}),
    "facts of a network that is not": tensors(metadata=told(network__architecture="../../x")),
    "facts of an encoder that is not": tensors(metadata=told(network__encoder="os.system")),
    "facts of a huge network": tensors(metadata=told(network__decoder={"decoder_pyramid_channels": 1 << 28})),
    "facts of odd options": tensors(metadata=told(network__decoder={"weights": "imagenet", "exec": 1})),
    "facts of a huge input": tensors(metadata=told(input__size=1 << 30)),
    "facts of no threshold": tensors(metadata=told(threshold=float("nan"))),
    "facts with more keys": tensors(metadata=told(extra="x")),
}  # fmt: skip
ONLY_MODELS = ("of other weights", "without facts", "no tensor")


def pickled(mark) -> dict[str, bytes]:
    legacy, whole = io.BytesIO(), io.BytesIO()
    torch.save({"a": Payload(mark)}, legacy, _use_new_zipfile_serialization=False)
    torch.save({"a": torch.zeros(2), "b": Payload(mark)}, whole)
    return {
        "pickle": pickle.dumps(Payload(mark)),
        "pickle of protocol 0": pickle.dumps(Payload(mark), protocol=0),
        "torch, old": legacy.getvalue(),
        "torch, zip": whole.getvalue(),
    }


def refused(what, *args, **options) -> str:
    with pytest.raises(PolypdaError) as caught:
        what(*args, **options)
    return caught.value.code


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_a_model_for_prediction(tmp_path, kind, polypda):
    path = tmp_path / "model.safetensors"
    path.write_bytes(SAFETENSORS[kind])
    code = refused(read_model, path)
    assert code.startswith(("E_WEIGHTS", "E_MODEL", "E_ARCH", "E_ENCODER", "E_NETWORK", "E_THRESHOLD", "E_DECODER"))
    try:
        read_facts_of(path)
    except PolypdaError as error:
        assert error.code.startswith(("E_WEIGHTS", "E_MODEL"))
    status, _, err = polypda("predict", path, tmp_path, "--out", tmp_path / "out")
    assert status in (2, 3) and "Traceback" not in err and err.startswith("E_")


@pytest.mark.parametrize("kind", [kind for kind in SAFETENSORS if not kind.startswith("facts")])
def test_weights_to_start_from(tmp_path, kind):
    path = tmp_path / "w.safetensors"
    path.write_bytes(SAFETENSORS[kind])
    encoder = build_segmenter(SPEC).encoder
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    if kind not in ("of other weights", "without facts", "with a tensor too many"):  # are sound for this
        assert refused(load_segmenter, SPEC, path).startswith("E_WEIGHTS")
        assert refused(load_encoder_weights, encoder, SPEC.encoder, str(path)).startswith("E_WEIGHTS")
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_nothing_is_unpickled(tmp_path, mark):
    segmenter = build_segmenter(SPEC)
    for number, data in enumerate(pickled(mark).values()):
        for suffix in (".safetensors", ".pth", ".pt", ".bin", ".onnx", ".ckpt", ""):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(data)
            assert refused(read_facts_of, path).startswith(("E_WEIGHTS", "E_MODEL"))
            assert refused(read_model, path).startswith(("E_WEIGHTS", "E_MODEL"))
            assert refused(load_model, path).startswith(("E_WEIGHTS", "E_MODEL"))
            assert refused(read_state_dict, path).startswith("E_WEIGHTS")
            assert refused(load_segmenter, SPEC, path).startswith("E_WEIGHTS")
            assert refused(load_encoder_weights, segmenter.encoder, SPEC.encoder, str(path)).startswith("E_WEIGHTS")
            tap = FeatureTap.BOTTLENECK
            assert refused(load_source_features, path, segmenter, tap).startswith(("E_WEIGHTS", "E_SOURCE"))


ONNX = {"empty": b"", "noise": np.random.default_rng(1).bytes(3_000), "zeros": bytes(300), "text": b"onnx"}


@pytest.mark.parametrize("kind", ONNX)
def test_exported_models_that_are_none(tmp_path, kind):
    for suffix in (".onnx", ".pt"):
        path = tmp_path / f"m{suffix}"
        path.write_bytes(ONNX[kind])
        assert refused(read_facts_of, path).startswith(("E_WEIGHTS", "E_MODEL"))
        assert refused(load_model, path).startswith(("E_WEIGHTS", "E_MODEL"))


def test_the_facts_of_a_zip_bomb_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/extra/polypda_model.json", bytes(200_000_000))
    assert refused(read_facts_of, tmp_path / "m.pt") == "E_WEIGHTS_UNREADABLE"


PACKAGES = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": "[]",
    "nothing": "{}",
    "another form": '{"format": "polypda-source-package 9"}',
    "odd values": json.dumps({"format": "polypda-source-package 1", "source": [], "frames": 1e308, "config": 1}),
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("kind", PACKAGES)
def test_source_packages(tmp_path, kind):
    write_model(tmp_path / "start.safetensors")
    content = PACKAGES[kind]
    (tmp_path / "package.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert refused(read_source_package, tmp_path).startswith("E_SOURCE_PACKAGE")


def test_cached_frames_that_are_objects(tmp_path, mark):
    frames = write_frames(tmp_path / "data", 3)
    cache = FrameCache(tmp_path / "cache", NetworkGrid(32, Fit.RESIZE))
    cached = cache.unlabelled(frames)
    (entry,) = (tmp_path / "cache").glob("*-images.npy")
    whole = cached.images[0]
    for data in (_npy_of_objects(mark), b"", b"\x93NUMPY", entry.read_bytes()[:-5_000], bytes(400)):
        entry.write_bytes(data)
        try:
            again = cache.unlabelled(frames)
            assert np.array_equal(again.images[0], whole), "made anew, or told"
        except PolypdaError as error:
            assert error.code.startswith("E_CACHE")


def _npy_of_objects(mark) -> bytes:
    data = io.BytesIO()
    np.save(data, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    return data.getvalue()


def test_sound_ones_are_read(tmp_path):
    built = network()
    save_model(built, tmp_path / "m.safetensors", facts_of(built))
    assert read_model(tmp_path / "m.safetensors").facts.threshold == 0.5
    assert read_facts_of(tmp_path / "m.safetensors").network == SPEC
