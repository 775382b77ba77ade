"""The run of two painted centres that several tests report on."""

import pandas as pd
import pytest
from support.scored_blocks import block_run, block_study

from polypda.evaluation.cases.run_metadata import RunMetadata


@pytest.fixture(scope="session")
def study() -> pd.DataFrame:
    return block_study()


@pytest.fixture(scope="session")
def run_metadata() -> RunMetadata:
    return block_run()
