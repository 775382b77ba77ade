"""The cohorts this installation knows."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from polypda.cohorts.manifest import Manifest, Overlap
from polypda.cohorts.manifest_file import read_manifest
from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError, UsageError, nearest

_PACKAGE = Path(__file__).parent
# The wheel carries the manifests inside the package; a checkout keeps them at its top.
MANIFEST_FOLDERS = (_PACKAGE / "manifests", _PACKAGE.parents[1] / "cohorts")


@cache
def load_catalogue() -> dict[str, Manifest]:
    """All manifests by id, sorted naturally. The result is shared: do not change it.

    Raises: DataError E_CATALOGUE_ABSENT when the installation carries no manifests; E_MANIFEST… for a wrong one.
    """
    folder = next((folder for folder in MANIFEST_FOLDERS if any(folder.glob("*.yaml"))), None)
    if folder is None:
        raise DataError(
            "E_CATALOGUE_ABSENT", "this installation carries no cohort manifests.", fix="install polypda again."
        )
    manifests = [read_manifest(path) for path in sorted(folder.glob("*.yaml"))]
    return {manifest.id: manifest for manifest in sorted(manifests, key=lambda manifest: natural_key(manifest.id))}


def manifest(cohort_id: str) -> Manifest:
    """The manifest of one cohort. Raises: UsageError E_COHORT_UNKNOWN with the nearest id."""
    catalogue = load_catalogue()
    if cohort_id not in catalogue:
        raise UsageError(
            "E_COHORT_UNKNOWN",
            f"no cohort is called '{cohort_id}'.{nearest(cohort_id.lower(), catalogue)}",
            fix="`polypda cohorts list` shows all ids.",
        )
    return catalogue[cohort_id]


def manifest_hash(cohort_id: str) -> str:
    """SHA-256 (hex) of what a cohort's manifest says. Raises as :func:`manifest`."""
    return manifest(cohort_id).hash()


def shared_frames(one: str, other: str) -> Overlap | None:
    """What the manifests say about frames that two cohorts share; None when they name no overlap."""
    for here, there in ((one, other), (other, one)):
        for overlap in manifest(here).overlaps:
            if overlap.cohort == there:
                return overlap
    return None
