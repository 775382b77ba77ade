"""What curves show in words: each rule fires on its own failure, and on nothing else."""

import pandas as pd
import pytest
from support.runs import write_run

from polypda.reporting.pages.curves_page import curve_findings
from polypda.training.curves import read_curves

QUIET = "No collapse"


def snapshots(target, source_dice=None):
    steps = range(0, 10 * len(target), 10)
    dice = source_dice or [0.6] * len(target)
    return pd.DataFrame({"target_foreground": target, "source_dice": dice}, index=list(steps))


def findings(tmp_path, table=None, *, chance=0.5, **run):
    curves = read_curves(write_run(tmp_path / "run", 40, **run), "adda")
    return curve_findings(curves, table if table is not None else pd.DataFrame(), chance=chance)


def test_a_healthy_training_says_so(tmp_path):
    found = findings(tmp_path, snapshots([0.08, 0.09, 0.08, 0.07]), accuracy=0.7)
    assert len(found) == 1 and found[0].startswith(QUIET)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (snapshots([0.08, 0.05, 0.01, 0.001]), "Mode collapse towards background"),
        (snapshots([0.08, 0.2, 0.3, 0.5]), "Mode collapse towards polyp"),
        (snapshots([0.08, 0.01, 0.07, 0.08]), "Passing collapse at step 10"),
        (snapshots([0.08, 0.09, 0.12, 0.05]), "Late decline"),
        (snapshots([0.08, 0.08, 0.08, 0.08], [0.6, 0.6, 0.5, 0.4]), "partly forgotten: validation Dice 0.600 → 0.400"),
    ],
)
def test_snapshots_tell_of_collapse_and_forgetting(tmp_path, table, said):
    found = findings(tmp_path, table, accuracy=0.7)
    assert len(found) == 1 and said in found[0]


@pytest.mark.parametrize(
    ("accuracy", "chance", "said"), [(0.99, 0.5, "won"), (0.52, 0.5, "near chance"), (0.28, 0.25, "near chance")]
)
def test_a_decided_discriminator_is_named(tmp_path, accuracy, chance, said):
    assert said in findings(tmp_path, accuracy=accuracy, chance=chance)[0]
    assert findings(tmp_path / "other", accuracy=0.7, chance=chance)[0].startswith(QUIET)


def test_a_task_loss_that_grows_is_named(tmp_path):
    assert "seg_main grew" in findings(tmp_path, accuracy=0.7, growth=0.1)[0]
