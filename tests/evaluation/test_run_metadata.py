"""What stands beside every number: above all, where target labels had a hand in it."""

import pytest

from polypda.evaluation.cases.run_metadata import RunMetadata, joint_lines


def run_metadata(**changed):
    facts = {
        "run": "r",
        "source": "zju2",
        "target": "haining",
        "method": "adda",
        "selector": "last",
        "seeds": (0,),
        "input_size": (64, 64),
        "phantom": True,
    }
    return RunMetadata(**(facts | changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "no label of haining was used in training"),
        ({"target_labels_used": True}, "labels of haining trained the oracle only (an upper bound)"),
        ({"selector": "oracle"}, "LABELS OF haining CHOSE THE CHECKPOINT"),
        ({"selector": "oracle", "target_labels_used": True}, "trained the oracle only"),
        ({"method": "oracle"}, "no adaptation"),
        ({"external": True}, "not known"),
    ],
)
def test_whose_labels_had_a_hand_in_it_is_told(changed, said):
    assert said in run_metadata(**changed).lines()["target labels"]


def test_one_run_chosen_on_target_labels_stamps_the_table_of_all():
    lines = joint_lines([run_metadata(), run_metadata(run="s", selector="oracle")], ["adda"], phantom=True)
    assert "LABELS OF THE TARGET CHOSE A CHECKPOINT" in lines["target labels"]
    assert "oracle" in lines["checkpoint rule"]
