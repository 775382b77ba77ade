"""Make the environment the same for every test: torchvision importable, one thread, no contact with the network."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest
import torch
from hypothesis import settings

from polypda.cohorts.catalogue import use_data_root
from polypda.networks.torchvision_shim import import_torchvision

import_torchvision()
torch.set_num_threads(1)

settings.register_profile("polypda", deadline=None)  # a busy machine is no failure
settings.load_profile("polypda")


@pytest.fixture(autouse=True)
def _no_data_root_is_named():
    """A command names its data root for its process; one test's must not be the next one's."""
    use_data_root(None)
