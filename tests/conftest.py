"""Make the environment the same for every test: torchvision importable, one thread, no contact with the network."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import torch
from hypothesis import settings

from polypda.networks.torchvision_shim import import_torchvision

import_torchvision()
torch.set_num_threads(1)

settings.register_profile("polypda", deadline=None)  # a busy machine is no failure
settings.load_profile("polypda")
