"""Make the environment the same for every test: torchvision importable, one thread, no contact with the network."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import torch

from polypda.networks.torchvision_shim import import_torchvision

import_torchvision()
torch.set_num_threads(1)
