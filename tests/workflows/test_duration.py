"""A step can be timed before a matrix is begun, also of methods that prepare themselves or need no source."""

import pytest

from polypda.workflows.matrix.matrix import timed_step
from polypda.workflows.runs.configure import resolve_config


@pytest.mark.parametrize("method", ["adaptsegnet", "fcn-wild", "tent"])
def test_a_step_is_timed(method):
    config = resolve_config(
        source="zju2",
        target="haining",
        method=method,
        preset_name="quick",
        phantom=True,
        top={},
        sections={"network": {}, "data": {"batch_size": 2}, "compute": {"device": "cpu"}},
        options={},
    )
    assert 0 < timed_step(config, method) < 60
