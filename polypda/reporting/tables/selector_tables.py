"""What the checkpoint rules cost, as text tables for pages."""

from __future__ import annotations

import pandas as pd

from polypda.evaluation.aggregation.selector_regret import regret_by_rule
from polypda.reporting.tables.page_tables import PageTable

EXPLAINED = (
    "Each rule's snapshot, scored on the target's held-out frames after everything was decided: regret is the best "
    "snapshot's mean Dice minus that of the rule's. It judges the rules; nothing was chosen by it."
)
NOT_JUDGED = "No checkpoint was chosen, or no held-out target frame shows a polyp."


def run_selector_cells(selectors: pd.DataFrame) -> pd.DataFrame:
    """One run's rules as text: rule, whether it was used, its step, Dice, regret, the best snapshot."""
    return pd.DataFrame(
        {
            "checkpoint rule": selectors["selector"],
            "used": selectors["used"].map(lambda used: "used" if used else ""),
            "step": selectors["step"].map(str),
            "Dice": selectors["dice"].map("{:.3f}".format),
            "regret": selectors["regret"].map("{:.3f}".format),
            "best snapshot": [
                f"{dice:.3f} (step {step})"
                for dice, step in zip(selectors["best_dice"], selectors["best_step"], strict=True)
            ],
        }
    )


def selector_page_table(selectors: pd.DataFrame) -> PageTable:
    """All runs: mean Dice and regret of every rule per adaptation."""
    rows = [
        [
            f"{source} → {target}",
            rule,
            str(runs),
            f"{dice:.3f}",
            f"{regret:.3f}",
            f"{worst:.3f}",
        ]
        for source, target, rule, runs, dice, regret, worst in regret_by_rule(selectors).itertuples(index=False)
    ]
    return PageTable(
        ["adaptation", "checkpoint rule", "runs", "mean Dice", "mean regret", "worst regret"], rows, left=2
    )
