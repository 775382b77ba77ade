"""What a trial job finds on a node, and what is said of one that does not begin; without a cluster."""

from pathlib import Path

import pytest

from polypda import __version__
from polypda.errors import DataError, UsageError
from polypda.workflows.matrix import node_check
from polypda.workflows.matrix.cluster import Cluster
from polypda.workflows.matrix.node_check import check_cluster, check_in_job
from polypda.workflows.matrix.on_cluster import standings
from polypda.workflows.matrix.slurm import JobBook, Queued


def looked(folder: Path, data_root: Path | None = None, gpus: int = 0) -> str:
    """The code that the trial job ends with, "" where all is well."""
    try:
        check_in_job(__version__, "check-low", folder, data_root, gpus)
    except DataError as error:
        assert JobBook(folder).ended("check-low")[1].code == error.code
        return error.code
    assert JobBook(folder).ended("check-low") == (True, None)
    return ""


def test_a_node_must_see_the_data_write_and_have_its_devices(tmp_path, monkeypatch):
    matrix, data = tmp_path / "matrix", tmp_path / "data"
    (matrix / "cluster").mkdir(parents=True)
    assert looked(matrix) == ""
    assert looked(matrix, data) == "E_CLUSTER_DATA"
    (data / "zju2").mkdir(parents=True)
    assert looked(matrix, data) == ""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert looked(matrix, data, gpus=1) == "" and looked(matrix, data, gpus=2) == "E_CLUSTER_GPU"

    def refuse(path, content):
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(node_check, "write_whole", refuse)
    assert looked(matrix, data) == "E_CLUSTER_WRITE"


def test_a_trial_that_does_not_begin_is_taken_back(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(node_check, "queue", lambda: {"7": Queued("7", "PENDING", "Resources")})
    monkeypatch.setattr(node_check, "submit", lambda *_: ["7"])
    monkeypatch.setattr(node_check, "cancel", taken.extend)
    with pytest.raises(DataError, match=r"E_CLUSTER_CHECK.*Resources"):
        check_cluster(tmp_path, Cluster(), None, -1)
    assert taken == ["7"]


def test_a_folder_of_no_cluster_has_no_jobs_there(tmp_path, monkeypatch):
    monkeypatch.setattr("polypda.workflows.matrix.on_cluster.queue", dict)
    with pytest.raises((DataError, UsageError), match="E_CLUSTER_JOBS"):
        standings(tmp_path)
