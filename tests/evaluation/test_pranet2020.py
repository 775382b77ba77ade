"""The legacy profile: pysodmetrics' figures, its table, and what it hides."""

import importlib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polypda.errors import DataError, UsageError
from polypda.evaluation.scoring.metrics import frame_metrics
from polypda.evaluation.scoring.pranet2020 import WITHOUT_DOWNGRADE, PranetTable, pranet_scores

SIZE = (30, 44)


def test_without_the_library_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str):
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UsageError, match=r"E_EXTRA_MISSING") as caught:
        PranetTable()
    assert "polypda[legacy]" in caught.value.fix and WITHOUT_DOWNGRADE in caught.value.fix


def frame(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An 8-bit map and its 0/1 reference."""
    rng = np.random.default_rng(seed)
    reference = np.zeros(SIZE, np.uint8)
    reference[8:20, 10 : 20 + seed] = 1
    soft = 0.5 * np.roll(reference, 2, axis=1) + rng.uniform(0, 0.4, SIZE)
    return np.rint(255 * soft).astype(np.uint8), reference


class TestWithPysodmetrics:
    @pytest.fixture(autouse=True)
    def library(self):
        self.sod = pytest.importorskip("py_sod_metrics", reason=f"not installed: {WITHOUT_DOWNGRADE}")

    @pytest.mark.filterwarnings("ignore:This class will be removed")
    def test_every_figure_is_pysodmetrics(self) -> None:
        table = PranetTable()
        sums = {name: getattr(self.sod, name)() for name in ("WeightedFmeasure", "Smeasure", "Emeasure", "MAE")}
        fmeasure = self.sod.FmeasureV2(
            metric_handlers={
                "dice": self.sod.DICEHandler(with_dynamic=True, with_adaptive=False),
                "iou": self.sod.IOUHandler(with_dynamic=True, with_adaptive=False),
            }
        )
        for seed in range(4):
            image, reference = frame(seed)
            table.add("haining", "adabn", (image / np.float32(255)).astype(np.float32), reference)
            for measure in (*sums.values(), fmeasure):
                measure.step(pred=image, gt=reference * 255)
        row = table.table().iloc[0]
        dice, iou = (fmeasure.get_results()[name]["dynamic"] for name in ("dice", "iou"))
        curve = sums["Emeasure"].get_results()["em"]["curve"]
        expected = {
            "meanDice": dice.mean(), "maxDice": dice.max(), "meanIoU": iou.mean(), "maxIoU": iou.max(),
            "meanEm": curve.mean(), "maxEm": curve.max(), "wFm": sums["WeightedFmeasure"].get_results()["wfm"],
            "Sm": sums["Smeasure"].get_results()["sm"], "MAE": sums["MAE"].get_results()["mae"],
        }  # fmt: skip
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-12), name
        assert (row["n"], row["n_without_polyp"], row["profile"]) == (4, 0, "pranet2020")

    def test_dice_is_the_mean_over_thresholds_of_the_stretched_map(self) -> None:
        """Independent of the library: thresholds 0…255 on the map stretched to its own range."""
        image, reference = frame(3)
        stretched = (image - image.min()) / np.float64(image.max() - image.min())
        steps = np.floor(stretched * 255)
        curve = [
            2 * np.sum((steps >= t) & (reference > 0)) / (np.sum(steps >= t) + reference.sum()) for t in range(256)
        ]
        # one grey value of floating-point floor decides a few pixels of a few thresholds
        assert pranet_scores(image / 255.0, reference).dice.mean() == pytest.approx(np.mean(curve), abs=2e-3)

    def test_it_hides_a_map_that_is_never_sure_and_says_so(self, tmp_path: Path) -> None:
        _, reference = frame(0)
        timid = 0.4 * reference.astype(float)
        own = frame_metrics(timid, reference, np.ones(SIZE, bool)).dice
        table = PranetTable()
        table.add("haining", "adabn", timid, reference)
        table.add("haining", "adabn", timid, np.zeros(SIZE, np.uint8))  # no polyp: left out, and counted
        table.add("bkai", "oracle", np.zeros(SIZE), np.zeros(SIZE, np.uint8))
        rows = pd.read_csv(table.write(tmp_path)).set_index("cohort")
        assert own == 0.0 and rows.loc["haining", "meanDice"] > 0.99
        assert rows.loc["haining", ["n", "n_without_polyp"]].tolist() == [1, 1]
        assert rows.loc["bkai", "n"] == 0 and math.isnan(rows.loc["bkai", "meanDice"])
        (line,) = table.warnings({("haining", "adabn"): own, ("bkai", "oracle"): math.nan})
        assert "haining, adabn" in line and "dice_frame is 0.000" in line
        assert table.warnings({("haining", "adabn"): rows.loc["haining", "meanDice"] - 0.009}) == []

    def test_a_frame_without_an_s_measure_is_counted_and_leaves_the_mean_defined(self) -> None:
        image, reference = frame(0)
        corner = np.zeros(SIZE, np.uint8)
        corner[-1, -1] = 1
        table = PranetTable()
        table.add("c", "m", image / 255.0, reference)
        table.add("c", "m", image / 255.0, corner)
        row = table.table().iloc[0]
        assert (row["n"], row["Sm_undefined"]) == (2, 1)
        assert row["Sm"] == pranet_scores(image / 255.0, reference).s_measure and row["MAE"] > 0

    def test_wrong_maps_are_refused(self) -> None:
        _, reference = frame(0)
        for code, probability in (("E_PROBABILITY_NAN", np.full(SIZE, np.nan)), ("E_METRIC_SIZE", np.zeros((3, 4)))):
            with pytest.raises(DataError, match=code):
                PranetTable().add("c", "m", probability, reference, frame="0412")
