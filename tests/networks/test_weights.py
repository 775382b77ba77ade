"""Weights in and out: whole files, complete keys, the input that belongs to them."""

import json
import os
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from polypda.errors import DataError, UsageError
from polypda.networks.encoder_weights import file_normalisation, likely_encoder, load_encoder_weights
from polypda.networks.smp_library import import_smp
from polypda.networks.smp_segmenter import build_smp_segmenter
from polypda.networks.weights import (
    load_module,
    read_safetensors,
    read_state_dict,
    renamed_to_fit,
    require_finite,
    save_module,
    training_identity,
)

QUICK = "tu-mobilenetv3_small_050"


def _encoder(name="mobilenet_v2", seed=0):
    torch.manual_seed(seed)
    return import_smp().encoders.get_encoder(name, weights=None)


def _same(first, second):
    return all(torch.equal(value, second[key]) for key, value in first.items())


class TestModules:
    def test_round_trip_is_bit_exact_with_metadata(self, tmp_path):
        first, second = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
        first[0].weight.data = first[0].weight.data.contiguous(memory_format=torch.channels_last)
        first(torch.rand(2, 3, 5, 5))
        save_module(first, tmp_path / "new" / "w.safetensors", {"step": "7"})
        assert load_module(second, tmp_path / "new" / "w.safetensors") == {"step": "7"}
        assert _same(first.state_dict(), second.state_dict())

    def test_identity_names_the_values_not_the_object(self):
        def network(seed):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

        first, second = network(0), network(0)
        identity = training_identity(first)
        assert len(identity) == 12 and int(identity, 16) >= 0
        first[0].weight.data = first[0].weight.data.contiguous(memory_format=torch.channels_last)
        assert training_identity(first) == training_identity(second) != training_identity(network(1))
        second[1].running_mean[2] += 1e-7
        assert training_identity(second) != identity
        assert training_identity(first.bfloat16()) != identity

    def test_shared_tensors_can_be_saved(self, tmp_path):
        network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        network[1].weight = network[0].weight
        save_module(network, tmp_path / "w.safetensors")
        assert read_safetensors(tmp_path / "w.safetensors")[0].keys() == network.state_dict().keys()

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda s: s.pop("0.bias"), r"1 of 2 tensors fit; 1 missing \(first: 0\.bias\)"),
            (lambda s: s.update({"0.bias": torch.zeros(5)}), r"0\.bias is 5, needed 2"),
            (lambda s: s.update({"9.bias": torch.zeros(5)}), r"1 tensors that this network does not have .*9\.bias"),
        ],
    )
    def test_anything_that_does_not_fit_is_refused_and_changes_nothing(self, tmp_path, change, says):
        network = nn.Sequential(nn.Linear(3, 2))
        state = {key: value + 1 for key, value in network.state_dict().items()}
        change(state)
        save_file(state, tmp_path / "w.safetensors")
        before = {key: value.clone() for key, value in network.state_dict().items()}
        with pytest.raises(DataError, match=f"E_WEIGHTS_KEYS .*{says}"):
            load_module(network, tmp_path / "w.safetensors")
        assert _same(before, network.state_dict())

    def test_failing_to_write_leaves_the_old_file_and_no_half_one(self, tmp_path, monkeypatch):
        path = tmp_path / "w.safetensors"
        network = nn.Linear(2, 2)
        save_module(network, path)
        old = path.read_bytes()

        def full_disk(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full_disk)
        network.weight.data.add_(1)
        with pytest.raises(DataError, match=r"E_WEIGHTS_WRITE .*No space left"):
            save_module(network, path)
        assert path.read_bytes() == old
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("content", [b"", b"x" * 40, (2**40).to_bytes(8, "little") + b"{}"])
    def test_missing_and_unreadable_files_have_codes(self, tmp_path, content):
        path = tmp_path / "w.safetensors"
        with pytest.raises(DataError, match=r"E_WEIGHTS_MISSING .*w\.safetensors"):
            load_module(nn.Linear(1, 1), path)
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"E_WEIGHTS_UNREADABLE .*w\.safetensors"):
            load_module(nn.Linear(1, 1), path)


class TestNonFinite:
    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
    def test_a_file_that_holds_no_numbers_is_refused_with_the_tensors_name(self, tmp_path, bad):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        state = {key: value.clone() for key, value in network.state_dict().items()}
        state["1.running_var"][2] = bad
        save_file(state, tmp_path / "w.safetensors")
        torch.save(state, tmp_path / "w.pth")
        before = {key: value.clone() for key, value in network.state_dict().items()}
        told = r"E_WEIGHTS_NONFINITE .*w\.{}: 1 of the 4 values of 1\.running_var are not finite"
        with pytest.raises(DataError, match=told.format("safetensors")):
            load_module(network, tmp_path / "w.safetensors")
        with pytest.raises(DataError, match=told.format("pth")):
            read_state_dict(tmp_path / "w.pth")
        assert _same(before, network.state_dict())

    def test_many_are_counted_and_some_named(self):
        state = {f"layer{number}": torch.tensor([float("nan"), 1]) for number in range(5)} | {"count": torch.tensor(3)}
        with pytest.raises(DataError, match=r"1 of the 2 values of layer0 .*; 5 tensors .*layer0, layer1, layer2, …"):
            require_finite(state, "w.pth")
        require_finite({"count": torch.tensor(3), "half": torch.ones(2, dtype=torch.float16)}, "w.pth")

    def test_an_encoders_file(self, tmp_path):
        state = _encoder().state_dict() | {"features.3.conv.0.0.weight": torch.full((144, 24, 1, 1), float("nan"))}
        save_file(state, tmp_path / "e.safetensors")
        with pytest.raises(
            DataError, match=r"E_WEIGHTS_NONFINITE .*3456 of the 3456 values of features\.3\.conv\.0\.0"
        ):
            load_encoder_weights(_encoder(), "mobilenet_v2", str(tmp_path / "e.safetensors"))


class TestLocalEncoders:
    def test_file_really_arrives_and_brings_its_normalisation(self, tmp_path):
        path = tmp_path / "mine.safetensors"
        donor = _encoder(seed=1)
        save_module(donor, path, {"mean": "[0.1, 0.2, 0.3]", "std": "0.5, 0.6, 0.7"})
        segmenter = build_smp_segmenter("deeplabv3plus", "mobilenet_v2", encoder_weights=str(path))
        assert _same(donor.state_dict(), segmenter.encoder.state_dict())
        assert segmenter.encoder_weights.source == "mine.safetensors"
        assert (segmenter.encoder_weights.tensors, len(segmenter.encoder_weights.sha256)) == (312, 64)
        images = torch.rand(1, 3, 32, 32)
        by_hand = (images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
        torch.testing.assert_close(segmenter.normalisation(images), by_hand)

    def test_checkpoint_keeps_the_normalisation_in_a_network_built_without_the_file(self, tmp_path):
        save_module(_encoder(seed=1), tmp_path / "e.safetensors", {"input": "RGB, x/127.5-1"})
        first = build_smp_segmenter("deeplabv3plus", "mobilenet_v2", encoder_weights=str(tmp_path / "e.safetensors"))
        save_module(first, tmp_path / "run.safetensors")
        second = build_smp_segmenter("deeplabv3plus", "mobilenet_v2")
        load_module(second, tmp_path / "run.safetensors")
        images = torch.rand(1, 3, 32, 32)
        with torch.no_grad():
            assert torch.equal(first.eval()(images).logits["main"], second.eval()(images).logits["main"])

    @pytest.mark.parametrize("prefix", ["encoder.", "module.", "module.encoder.", "_orig_mod.module.net.backbone."])
    def test_prefixes_classifier_and_missing_counters_are_no_obstacle(self, tmp_path, prefix):
        donor = _encoder(seed=1).state_dict()
        state = {f"{prefix}{k}": v.clone() for k, v in donor.items() if "num_batches" not in k}
        save_file(state | {"classifier.weight": torch.ones(2)}, tmp_path / "e.safetensors")
        encoder = _encoder(seed=2)
        report = load_encoder_weights(encoder, "mobilenet_v2", str(tmp_path / "e.safetensors"))
        assert report.tensors == 260
        assert _same({k: v for k, v in donor.items() if "num_batches" not in k}, encoder.state_dict())

    def test_timms_own_key_names_fit_its_wrapped_encoder(self, tmp_path):
        donor = _encoder(QUICK, seed=1).state_dict()
        save_file({k.removeprefix("model."): v for k, v in donor.items()}, tmp_path / "e.safetensors")
        encoder = _encoder(QUICK, seed=2)
        load_encoder_weights(encoder, QUICK, str(tmp_path / "e.safetensors"))
        assert _same(donor, encoder.state_dict())

    def test_another_encoders_file_says_how_much_fits_and_whose_it_looks(self, tmp_path):
        save_module(_encoder("resnet18"), tmp_path / "e.safetensors")
        encoder = _encoder(seed=2)
        before = {key: value.clone() for key, value in encoder.state_dict().items()}
        with pytest.raises(DataError, match=r"E_WEIGHTS_KEYS .*e\.safetensors") as caught:
            load_encoder_weights(encoder, "mobilenet_v2", str(tmp_path / "e.safetensors"))
        assert "0 of 260 tensors fit; 260 missing (first: features.0.0.weight" in str(caught.value)
        assert "the file's other keys: bn1.bias, bn1.num_batches_tracked, bn1.running_mean, …" in str(caught.value)
        assert "looks like: resnet18" in str(caught.value)
        assert _same(before, encoder.state_dict())

    def test_a_refused_file_shows_its_own_keys_and_the_prefix_that_was_taken_off(self, tmp_path):
        state = {f"module.encoder.{key}": value for key, value in _encoder().state_dict().items()}
        state["module.encoder.features.18.neck.weight"] = state.pop("module.encoder.features.18.0.weight")
        save_file(state, tmp_path / "e.safetensors")
        with pytest.raises(DataError, match="E_WEIGHTS_KEYS") as caught:
            load_encoder_weights(_encoder(), "mobilenet_v2", str(tmp_path / "e.safetensors"))
        told = str(caught.value)
        assert "mobilenet_v2 ('module.encoder.' taken off): 311 of 312 tensors fit; 1 missing" in told
        assert "(first: features.18.0.weight); the file's other keys: module.encoder.features.18.neck.weight" in told
        assert "looks like" not in told

    @pytest.mark.parametrize("metadata", [{}, {"architecture": "mobilenet_v2"}])
    def test_a_file_of_another_width_is_not_called_what_was_wanted(self, tmp_path, metadata):
        state = {
            key: value[..., :1].contiguous() if value.dim() else value for key, value in _encoder().state_dict().items()
        }
        save_file(state, tmp_path / "e.safetensors", metadata=metadata)
        with pytest.raises(DataError, match=r"E_WEIGHTS_KEYS .* of another shape \(first: ") as caught:
            load_encoder_weights(_encoder(), "mobilenet_v2", str(tmp_path / "e.safetensors"))
        assert "looks like" not in caught.value.what
        assert "It has names of mobilenet_v2, but not all of them, or of another width." in caught.value.what

    def test_a_file_with_two_such_encoders_is_refused(self, tmp_path):
        state = {
            f"{name}.{key}": value
            for name in ("a", "b")
            for key, value in _encoder(seed=ord(name)).state_dict().items()
        }
        save_file({key: value.clone() for key, value in state.items()}, tmp_path / "e.safetensors")
        with pytest.raises(DataError, match=r"E_WEIGHTS_AMBIGUOUS .*under 'a\.' and under 'b\.'"):
            load_encoder_weights(_encoder(), "mobilenet_v2", str(tmp_path / "e.safetensors"))

    def test_a_tensor_of_another_width_is_named(self, tmp_path):
        state = _encoder().state_dict() | {"features.0.0.weight": torch.zeros(16, 3, 3, 3)}
        save_file(state, tmp_path / "e.safetensors")
        with pytest.raises(DataError, match=r"features\.0\.0\.weight is 16×3×3×3, needed 32×3×3×3"):
            load_encoder_weights(_encoder(), "mobilenet_v2", str(tmp_path / "e.safetensors"))

    @pytest.mark.parametrize("name", ["resnet34", "resnet50", "mobilenet_v2", "mit_b0", "densenet121"])
    def test_likely_encoder(self, name):
        guess = likely_encoder({f"module.net.{key}": value for key, value in _encoder(name).state_dict().items()})
        assert name in guess or (name == "densenet121" and "DenseNet" in guess)

    def test_the_bundled_packages_own_file_is_told_from_an_efficientnet(self):
        keys = ("_blocks.0._depthwise_conv.weight", "_blocks.0._se_reduce.weight")
        state = {f"module.{key}": torch.zeros(1) for key in keys}
        assert likely_encoder(state) == "an EfficientNet (efficientnet-b0 …)"
        state.pop("module._blocks.0._se_reduce.weight")
        assert "--encoder-weights bundled" in likely_encoder(state)

    def test_a_mistyped_keyword_is_a_missing_file_with_a_hint(self):
        with pytest.raises(DataError, match=r"E_WEIGHTS_MISSING .*Did you mean 'imagenet'\?"):
            load_encoder_weights(_encoder(), "mobilenet_v2", "imagnet")

    @pytest.mark.parametrize("metadata", [{"input": "BGR, x-mean"}, {"mean": "1,2", "std": "1,1,1"},
                                          {"mean": "0,0,0", "std": "1,0,1"}, {"mean": "a", "std": "b"}])  # fmt: skip
    def test_input_notes_that_are_not_understood_are_refused(self, metadata):
        with pytest.raises(DataError, match="E_WEIGHTS_INPUT"):
            file_normalisation(metadata, "mobilenet_v2")

    def test_a_silent_file_means_the_encoders_own_training(self):
        assert file_normalisation({}, "mobilenet_v2")[0] == (0.485, 0.456, 0.406)
        assert file_normalisation({}, "tu-vit_tiny_patch16_224")[0] == (0.5, 0.5, 0.5)

    def test_the_shared_pretrained_file(self, pretrained_mobilenet):
        segmenter = build_smp_segmenter("deeplabv3plus", "mobilenet_v2", encoder_weights=str(pretrained_mobilenet))
        report = segmenter.encoder_weights
        assert (report.mean, report.std, report.tensors) == ((0.5,) * 3, (0.5,) * 3, 312)
        with safe_open(pretrained_mobilenet, "pt") as file:
            expected = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        assert _same(expected, segmenter.encoder.state_dict())
        pixels = torch.tensor([0.0, 128.0, 255.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
        torch.testing.assert_close(segmenter.normalisation(pixels / 255), pixels / 127.5 - 1)


class TestDownloads:
    @pytest.fixture
    def unreachable_hub(self, monkeypatch, tmp_path):
        """A hub on a port where nobody listens, with an empty cache: nothing leaves this machine."""
        from huggingface_hub import constants

        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        return constants

    @pytest.mark.parametrize("encoder", ["mobilenet_v2", QUICK])
    def test_no_network_is_an_error_within_seconds(self, unreachable_hub, encoder):
        started = time.monotonic()
        with pytest.raises(DataError, match="E_WEIGHTS_DOWNLOAD") as caught:
            build_smp_segmenter("deeplabv3plus", encoder, encoder_weights="imagenet")
        assert time.monotonic() - started < 10
        assert "--encoder-weights" in caught.value.fix
        assert unreachable_hub.HF_HUB_OFFLINE is False  # as it was

    def test_an_encoder_nobody_pretrained_says_so(self, monkeypatch):
        import timm

        monkeypatch.setattr(timm.models, "is_model_pretrained", lambda _name: False)
        with pytest.raises(UsageError, match="E_WEIGHTS_IMAGENET"):
            load_encoder_weights(_encoder(QUICK), QUICK, "imagenet")

    def test_a_downloaded_twin_really_arrives(self, monkeypatch):
        """The hub is played by an encoder built here: what it hands out is what the segmenter then holds."""
        smp = import_smp()
        build, donor = smp.encoders.get_encoder, _encoder(QUICK, seed=4)

        def hub(name, *args, weights=None, **options):
            return donor if weights is not None else build(name, *args, weights=None, **options)

        monkeypatch.setattr("polypda.networks.smp_library._answers", lambda _endpoint: True)
        monkeypatch.setattr(smp.encoders, "get_encoder", hub)
        encoder = build(QUICK, weights=None)
        report = load_encoder_weights(encoder, QUICK, "imagenet")
        assert report.source == "imagenet" and report.tensors == len(donor.state_dict())
        assert _same(donor.state_dict(), encoder.state_dict())


def test_metadata_is_plain_text_that_other_tools_read(tmp_path):
    save_module(nn.Linear(1, 1), tmp_path / "w.safetensors", {"cohorts": json.dumps(["zju2", "海宁"])})
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["cohorts"]) == ["zju2", "海宁"]


NAMES = ("conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight", "bn1.num_batches_tracked")
PREFIXES = [
    "",
    "encoder.",
    "module.encoder.",
    "_orig_mod.module.",
    "state_dict.model.net.0.backbone.",
    "Scale.",
    "läßt.",
]


def _state(names=NAMES, prefix=""):
    return {f"{prefix}{name}": torch.full((index + 1,), float(index)) for index, name in enumerate(names)}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("own", ["", "model.", "a.b."])
def test_any_prefix_gives_way_to_any_other(prefix, own):
    expected = _state(prefix=own)
    renamed = renamed_to_fit(expected, _state(prefix=prefix) | {"classifier.weight": torch.ones(3)})
    assert all(torch.equal(renamed.tensors[key], value) for key, value in expected.items())
    assert renamed.unused == ("classifier.weight",)
    assert (prefix in renamed.description) and (own in renamed.description or prefix.endswith(own))


def test_the_prefix_that_fits_most_is_taken_and_the_others_are_named_as_they_are():
    state = _state(prefix="net.encoder.") | _state(NAMES[:2], "net.decoder.")
    renamed = renamed_to_fit(_state(), state)
    assert renamed.taken == "net.encoder." and renamed.description == "'net.encoder.' taken off"
    assert renamed.unused == ("net.decoder.conv1.weight", "net.decoder.layer1.0.conv1.weight")


def test_shapes_tell_which_of_two_networks_is_meant():
    wider = {f"a.{name}": torch.zeros(9) for name in NAMES}
    assert renamed_to_fit(_state(), wider | _state(prefix="b.")).taken == "b."


def test_the_same_network_twice_is_refused_unless_it_is_the_same():
    student, teacher = _state(prefix="student."), _state(prefix="teacher.")
    assert renamed_to_fit(_state(), student | teacher).taken == "student."
    teacher["teacher.conv1.weight"] += 1
    with pytest.raises(DataError, match=r"E_WEIGHTS_AMBIGUOUS w\.pth.*'student\.' and under 'teacher\.'"):
        renamed_to_fit(_state(), student | teacher, "w.pth")
    # counters do not tell one from the other
    del student["student.bn1.num_batches_tracked"]
    with pytest.raises(DataError, match="E_WEIGHTS_AMBIGUOUS"):
        renamed_to_fit(_state(), student | teacher)


def test_where_nothing_fits_nothing_is_changed():
    state = {"a.b": torch.zeros(1)}
    renamed = renamed_to_fit(_state(), state)
    assert renamed.tensors == state and renamed.unused == ("a.b",) and renamed.description == ""
