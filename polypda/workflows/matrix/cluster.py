"""What one job of a cluster asks for: the file of `--cluster`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polypda.errors import UsageError, nearest
from polypda.yaml_text import YamlError, read_mapping


class Cluster(BaseModel):
    """One run is one job. What is not named is left to the cluster's own rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = Field(None, description="partition, or several with commas: a job takes the first free")
    account: str | None = Field(None, description="account that is charged")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that a node must have")
    exclude: str | None = Field(None, description="nodes that are not to be used")
    gpus: int = Field(0, ge=0, description="GPUs per run")
    cpus: int = Field(1, ge=1, description="processor cores per run")
    memory_gb: float | None = Field(None, gt=0, description="memory per run")
    minutes: int = Field(60, ge=1, description="time limit; a run that reaches it goes on in a further turn")
    stop_s: int = Field(90, ge=10, description="so long before the limit a run is asked for its checkpoint")
    turns: int = Field(20, ge=1, description="a run that is not complete after so many turns is an error")
    at_once: int = Field(256, ge=1, description="jobs of an array that run at once")
    array_size: int = Field(1000, ge=1, description="jobs in one array; MaxArraySize of the cluster, less one")
    setup: tuple[str, ...] = Field((), description="shell lines before each run: modules, an environment")
    python: str | None = Field(
        None, description="command in place of this Python's path, e.g. apptainer exec --nv IMAGE.sif python"
    )
    sbatch: dict[str, str | int | bool] = Field(
        default_factory=dict, description="further options of sbatch by their long names"
    )

    @property
    def partitions(self) -> tuple[str | None, ...]:
        """Each that a job may land in; None: the cluster's default."""
        return tuple(self.partition.split(",")) if self.partition else (None,)


def read_cluster(path: Path | None) -> Cluster:
    """The file of `--cluster`; without one all is left to the cluster. Raises: UsageError E_CLUSTER_FILE."""
    if path is None:
        return Cluster.model_validate({})
    try:
        values = read_mapping(path)
    except YamlError as error:
        raise _wrong(path, str(error)) from error
    for name in values:
        if name not in Cluster.model_fields:
            raise _wrong(path, f"'{name}' is not known.{nearest(str(name), Cluster.model_fields)}")
    try:
        return Cluster.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _wrong(path, f"{place}={first['input']!r}: {first['msg']}.") from error


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError("E_CLUSTER_FILE", what, where=path, fix=f"one of {', '.join(Cluster.model_fields)}.")
