"""Frames that are there twice, in one cohort or in two, and how the parts of a cohort are kept apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from polypda.cohorts.catalogue import shared_frames
from polypda.cohorts.frames import LabelState, Split
from polypda.cohorts.splits import clusters_known
from polypda.quality.checking.cohort_view import CohortView, Drawing, Finding, FrameName, held_out_apart, name_of
from polypda.quality.checking.observation import Observation
from polypda.quality.fingerprints import Fingerprint
from polypda.quality.near_duplicates import AlikePair, Mirroring, find_alike

Pair = tuple[Observation, Observation]


def check_duplicates(view: CohortView) -> list[Finding]:
    """Byte-identical images; across parts of the split they are a leak, with different labels one of these is wrong."""
    groups = [group for group in _by_hash(view.seen) if len(group) > 1]
    parted = [group for group in groups if len({one.frame.split for one in group}) > 1]
    together = [group for group in groups if len({one.frame.split for one in group}) == 1]
    findings = []
    if parted:
        message = f"{len(parted)} groups of byte-identical images lie in different parts of the split."
        findings.append(_of_groups("E_DUPLICATE_LEAK", message, parted, leak=True))
    if together:
        message = f"{len(together)} groups of byte-identical images within one part."
        findings.append(_of_groups("N_DUPLICATE", message, together, leak=False))
    contradicting = [pair for group in groups if (pair := _contradicting(group)) is not None]
    if contradicting:
        message = f"{len(contradicting)} groups of byte-identical images have different labels: at most one is right."
        findings.append(_of_groups("W_DUPLICATE_LABELS", message, contradicting, leak=False))
    return findings


def _contradicting(group: Sequence[Observation]) -> Pair | None:
    """The first two of a group whose labels are known and differ."""
    known = [one for one in group if label_of(one) is not None]
    return next(((known[0], one) for one in known[1:] if label_of(one) != label_of(known[0])), None)


def label_of(one: Observation) -> bytes | str | None:
    """What stands for a frame's label; the same for an empty mask as for a declared negative. None: none is known."""
    if one.mask_digest is not None:
        return one.mask_digest if one.mask is not None and one.mask.area_px else "no polyp"
    if one.frame.label_state is LabelState.BOX:
        return repr([box[:4] for box in one.frame.boxes])
    return "no polyp" if one.frame.label_state is LabelState.NEGATIVE else None


def check_near_duplicates(view: CohortView) -> list[Finding]:
    """Nearly the same image under two names; across parts of the split it is a leak."""
    pairs = [(pair, (view.seen[pair.first], view.seen[pair.second])) for pair in view.alike.copies]
    pairs = [entry for entry in pairs if entry[1][0].image_sha256 != entry[1][1].image_sha256]
    parted: list[tuple[AlikePair, Pair]] = []
    together: list[tuple[AlikePair, Pair]] = []
    for entry in pairs:
        (parted if held_out_apart(entry[1][0].frame.split, entry[1][1].frame.split) else together).append(entry)
    findings = []
    if parted:
        message = f"{len(parted)} pairs of nearly the same image lie in different parts of the split."
        findings.append(_of_pairs("E_ALIKE_LEAK", message, parted, leak=True))
    if together:
        message = f"{len(together)} pairs of nearly the same image within one part."
        findings.append(_of_pairs("N_ALIKE", message, together, leak=False))
    if view.alike.unconfirmed:
        message = f"{view.alike.unconfirmed} more candidates for the same image were not looked at: too many."
        findings.append(Finding("W_ALIKE_MANY", message))
    return findings


def check_hidden_sequences(view: CohortView) -> list[Finding]:
    """Chains of frames that look like one scene though no sequence is named, in different parts of the split."""
    likely = [(pair, (view.seen[pair.first], view.seen[pair.second])) for pair in view.alike.pairs]
    untold = [
        entry for entry in likely if not entry[0].same_image and any(one.frame.cluster is None for one in entry[1])
    ]
    parted = [entry for entry in untold if held_out_apart(entry[1][0].frame.split, entry[1][1].frame.split)]
    findings = []
    if parted:
        message = (
            f"{len(parted)} pairs of frames whose sequence is not known seem to show one scene, in different parts of "
            "the split: probably neighbours of one video. Name their sequence (frames.csv, or scenes in the manifest)."
        )
        findings.append(_of_pairs("W_SCENE_PARTED", message, parted, leak=False))
    chains = [chain for chain in _chains(pair for pair, _ in likely) if len(chain) > 2]
    chains = [chain for chain in chains if any(view.seen[index].frame.cluster is None for index in chain)]
    if chains:
        most = max(len(chain) for chain in chains)
        message = (
            f"{len(chains)} chains of three frames or more look like sequences that nobody named (up to {most} frames)."
        )
        frames = tuple(view.seen[index].frame.frame for chain in chains for index in chain)
        values = {view.seen[p].frame.frame: f"chain {n}" for n, chain in enumerate(chains, start=1) for p in chain}
        findings.append(Finding("N_CHAINS", message, frames, drawing=Drawing.FRAME, values=values))
    return findings


def _chains(pairs: Iterable[AlikePair]) -> list[list[int]]:
    """Connected indices, each chain and the list of chains in ascending order."""
    links = np.array([(pair.first, pair.second) for pair in pairs], int).reshape(-1, 2)
    if not len(links):
        return []
    linked, codes = np.unique(links, return_inverse=True)
    first, second = codes.reshape(-1, 2).T
    graph = csr_array((np.ones(len(first), bool), (first, second)), shape=(len(linked), len(linked)))
    _, chain_of = connected_components(graph, directed=False)
    chains: dict[int, list[int]] = defaultdict(list)
    for index, chain in zip(linked.tolist(), chain_of, strict=True):
        chains[chain].append(index)
    return list(chains.values())


def _of_groups(code: str, message: str, groups: Sequence[Sequence[Observation]], *, leak: bool) -> Finding:
    frames = tuple(one.frame.frame for group in groups for one in group)
    pairs: list[tuple[FrameName, FrameName]] = []
    for group in groups:
        first = group[0]
        other = next((one for one in group if one.frame.split is not first.frame.split), group[1])
        pairs.append((name_of(first.frame), name_of(other.frame)))
    by_name = {name_of(one.frame): one for group in groups for one in group}
    values = {f"{a[1]} = {b[1]}": same_bytes(by_name[a], by_name[b]) for a, b in pairs}
    return Finding(code, message, frames, tuple(pairs), leak, Drawing.PAIRS, values)


def _of_pairs(code: str, message: str, entries: Sequence[tuple[AlikePair, Pair]], *, leak: bool) -> Finding:
    entries = sorted(entries, key=lambda entry: -entry[0].likeness.fine)
    pairs = tuple((name_of(one.frame), name_of(other.frame)) for _, (one, other) in entries)
    values = {f"{one.frame.frame} ≈ {other.frame.frame}": describe(pair, one, other) for pair, (one, other) in entries}
    frames = tuple(f"{one.frame.frame} ≈ {other.frame.frame}" for _, (one, other) in entries)
    mirrored = Counter(str(pair.mirroring) for pair, _ in entries if pair.mirroring is not Mirroring.NONE)
    turned = f" Of these {', '.join(f'{count} {how}' for how, count in mirrored.items())}." if mirrored else ""
    return Finding(code, message + turned, frames, pairs, leak, Drawing.PAIRS, values)


def same_bytes(one: Observation, other: Observation) -> str:
    """``the same bytes``, and whether their labels differ."""
    labels = {label_of(one), label_of(other)}
    if len(labels) == 1 or None in labels:
        return "the same bytes"
    areas = [f"{each.mask.area_px} px" for each in (one, other) if each.mask is not None]
    return f"the same bytes, different labels{f' ({areas[0]} and {areas[1]})' if len(areas) == 2 else ''}"


def describe(pair: AlikePair, one: Observation, other: Observation) -> str:
    """``train, test; correlation 0.97, of details 0.88; mirrored left to right``."""
    parts = f"{one.frame.split}, {other.frame.split}; " if one.frame.split else ""
    turned = "" if pair.mirroring is Mirroring.NONE else f"; {pair.mirroring}"
    return f"{parts}correlation {pair.likeness.coarse:.2f}, of details {pair.likeness.fine:.2f}{turned}"


def check_split(view: CohortView) -> list[Finding]:
    """Size and origin of the parts; patients and sequences that lie in two of them."""
    counts = view.opened.counts()
    listed = ", ".join(f"{part} {count}" for part, count in counts.items())
    official = all(frame.split is not None for frame in view.found.frames)
    whose = "the release's own" if official else "by hash"
    findings = [Finding("N_SPLIT", f"split {listed} ({whose}).", facts=dict(counts))]
    if view.split_error is not None:
        error = view.split_error
        findings.append(Finding(error.code, f"{error.what} Fix: {error.fix}", leak=True))
    for part in Split:
        if not counts[part.value]:
            findings.append(Finding("W_SPLIT_EMPTY", f"no frame is in the {part.value} part."))
    if not official and not clusters_known(view.opened.frames):
        message = "patients and sequences are unknown, so frames are split singly: like frames may part."
        findings.append(Finding("W_CLUSTER_UNKNOWN", message))
    return findings


def check_ancestry(view: CohortView) -> list[Finding]:
    """Data sets that share frames with this one: never use them as independent."""
    findings = []
    for overlap in view.manifest.overlaps:
        message = f"{overlap.what} ({overlap.data_set}; {overlap.status}): never count it as independent of this one."
        findings.append(Finding("N_ANCESTRY", message, facts={"data_set": overlap.data_set}))
    return findings


def check_ancestry_between(cohorts: Sequence[str]) -> list[Finding]:
    """Cohorts of one check that share frames by what their manifests say."""
    findings = []
    for one, other in combinations(cohorts, 2):
        overlap = shared_frames(one, other)
        if overlap is not None:
            message = f"{one} and {other} share frames: {overlap.what}."
            findings.append(Finding("E_SHARED_FRAMES", message, leak=True))
    return findings


def check_between(views: Sequence[CohortView], prints: Sequence[Fingerprint | None]) -> list[Finding]:
    """What cohorts that are checked together share: by their manifests, byte for byte, and by their images.

    prints: of all frames of the views, in their order.
    """
    if len(views) < 2:
        return []
    findings = check_ancestry_between([view.manifest.id for view in views])
    seen = [one for view in views for one in view.seen]
    search = find_alike(prints, [one.frame.cohort for one in seen])
    pairs = [(seen[pair.first], seen[pair.second], pair) for pair in search.copies]
    words = {(name_of(one.frame), name_of(other.frame)): describe(pair, one, other) for one, other, pair in pairs}
    for one, other in _identical(seen):
        said = f"{one.frame.split}, {other.frame.split}; {same_bytes(one, other)}"
        words[name_of(one.frame), name_of(other.frame)] = said
    splits = {name_of(one.frame): one.frame.split for one in seen}
    by_cohorts: dict[tuple[str, str], list] = defaultdict(list)
    for pair in words:
        by_cohorts[pair[0][0], pair[1][0]].append(pair)
    for (one_cohort, other_cohort), shared in by_cohorts.items():
        leaking = [pair for pair in shared if _leaks(splits[pair[0]], splits[pair[1]])]
        message = f"{one_cohort} and {other_cohort} share {len(shared)} images"
        values = {" ≈ ".join("/".join(name) for name in pair): words[pair] for pair in shared}
        if leaking:
            message += f", {len(leaking)} of them in the training part of one and the held-out part of the other"
        code = "E_SHARED_PICTURES" if leaking else "W_SHARED_PICTURES"
        findings.append(
            Finding(code, f"{message}.", tuple(values), tuple(shared), bool(leaking), Drawing.PAIRS, values)
        )
    return findings


def _leaks(one: Split | None, other: Split | None) -> bool:
    return (one is Split.TEST) != (other is Split.TEST)


def _identical(seen: Sequence[Observation]) -> list[tuple[Observation, Observation]]:
    pairs = (pair for group in _by_hash(seen) for pair in combinations(group, 2))
    return [(one, other) for one, other in pairs if one.frame.cohort != other.frame.cohort]


def _by_hash(seen: Sequence[Observation]) -> list[list[Observation]]:
    groups: dict[str, list[Observation]] = defaultdict(list)
    for one in seen:
        if one.image_sha256:
            groups[one.image_sha256].append(one)
    return list(groups.values())
