"""For every test: the same environment (torchvision importable, one thread, no network), and the command itself."""

import os
import sys

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

from polypda.cohorts.named_root import use_data_root
from polypda.networks.smp_library import import_torchvision
from polypda.workflows.runs.presets import PRESETS

import_torchvision()
torch.set_num_threads(1)
# tests share two cores, and what the parts of a sum add is tested where it is the matter
PRESETS["quick"] |= {"compute": {"threads": 1}, "parts": "none"}

# a busy machine is no failure
settings.register_profile("polypda", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("polypda")


@pytest.fixture(autouse=True)
def _no_data_root_is_named():
    """A command names its data root for its process; one test's must not be the next one's."""
    use_data_root(None)


@pytest.fixture
def polypda(tmp_path, monkeypatch, capsys):
    """Run `polypda WORDS` in a folder of its own; returns (exit status, standard output, standard error)."""
    from polypda.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLYPDA_CACHE", str(tmp_path / "cache"))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["polypda", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        else:
            status = 0
        output = capsys.readouterr()
        return status, output.out, output.err

    return run
