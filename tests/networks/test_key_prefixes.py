"""Names under any prefix are found by what fits, never by a list of wrappers."""

import pytest
import torch

from polypda.errors import DataError
from polypda.networks.weights import renamed_to_fit

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
