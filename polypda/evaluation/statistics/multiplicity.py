"""Several comparisons at once: Holm's step-down adjustment over the declared family."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polypda.errors import DataError
from polypda.evaluation.statistics.clusters import FloatArray


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjusted p values of a family of M comparisons, float64 [M], in the order given (Holm, 1979).

    A comparison that was declared but has no p value (NaN) stays counted: leaving it out after the fact would let a
    family shrink to its fortunate members. It is treated as the least significant, and its own result stays NaN.

    Raises: DataError E_STAT_P_VALUE when a value lies outside [0, 1] or the family is no list.
    """
    family = np.asarray(p_values, dtype=np.float64)
    if family.ndim != 1 or ((family < 0) | (family > 1)).any():
        raise DataError(
            "E_STAT_P_VALUE",
            "p values must be a list of numbers in [0, 1].",
            where="statistics",
            fix="check the tests.",
        )
    order = np.argsort(family, kind="stable")  # NaN sorts last
    factors = len(family) - np.arange(len(family))
    adjusted = np.empty_like(family)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * family[order]), 1.0)
    return adjusted
