"""How many planted copies are found, and how many strangers are taken for copies.

    python benchmarks/near_duplicates.py --data-root DATA                      # every cohort that lies there
    python benchmarks/near_duplicates.py --data-root DATA --cohorts kvasir --every 10
    python benchmarks/near_duplicates.py --scale 10000                         # the search alone, on drawn hashes
    python benchmarks/near_duplicates.py --phantoms 40                         # rendered frames of three looks

From every n-th frame copies of each kind are made (tests/support/planted_copies.py) and looked for among all frames
together. Strangers are frames of different cohorts, and of different known sequences of one cohort; pairs of frames
whose sequence nobody told are no strangers for sure and are counted by themselves.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from polypda.cohorts.catalogue import load_catalogue, manifest
from polypda.cohorts.frames import Frame
from polypda.cohorts.images import Image, read_image
from polypda.cohorts.opening import open_cohort, present
from polypda.phantom.renderer import render_frame
from polypda.quality.fingerprints import Fingerprint, difference_hash, fingerprint
from polypda.quality.near_duplicates import find_alike

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.planted_copies import KINDS, copy_of

PHANTOM_LOOKS = ("zju2", "haining", "polypgen-c4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--cohorts", help="comma-separated; default: all that lie below the data root")
    parser.add_argument("--every", type=int, default=6, help="plant copies of every n-th frame")
    parser.add_argument("--phantoms", type=int, default=0, help="rendered frames per look instead of real ones")
    parser.add_argument("--scale", type=int, default=0, help="time the search among so many drawn fingerprints")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.scale:
        time_search(arguments.scale)
    elif arguments.phantoms:
        measure(*rendered(arguments.phantoms), 1)
    else:
        measure(*real(arguments.data_root, arguments.cohorts), arguments.every)


def real(data_root: Path, names: str | None) -> tuple[list[Frame], list[Image | None]]:
    ids = names.split(",") if names else [cohort for cohort in load_catalogue() if present(cohort, data_root)]
    frames = [frame for cohort in ids for frame in open_cohort(cohort, data_root, labels=False).frames]
    return frames, [None] * len(frames)


def rendered(count: int) -> tuple[list[Frame], list[Image | None]]:
    frames, images = [], []
    for cohort in PHANTOM_LOOKS:
        look = manifest(cohort).phantom
        assert look is not None
        look = look.model_copy(update={"frames_per_sequence": 1})
        for scene in range(count):
            image, _ = render_frame(look, seed=0, index=scene)
            frames.append(Frame(cohort, f"{scene}", Path(), sequence=f"{scene}"))
            images.append(image)
    return frames, images


def measure(frames: list[Frame], images: list[Image | None], every: int) -> None:
    began = time.process_time()
    prints: list[Fingerprint | None] = []
    copies: list[tuple[int, str]] = []
    planted: list[Fingerprint | None] = []
    for index, (frame, known) in enumerate(zip(frames, images, strict=True)):
        image = read_image(frame.image) if known is None else known
        prints.append(fingerprint(image))
        if index % every == 0:
            for kind in KINDS:
                copies.append((index, kind))
                planted.append(fingerprint(copy_of(image, kind)))
    drawn_s = time.process_time() - began
    began = time.process_time()
    groups = [f"copies of {index}" for index in range(len(prints))] + [f"copies of {index}" for index, _ in copies]
    among_frames = find_alike(prints)
    with_copies = find_alike([*prints, *planted], [None] * len(prints) + groups[len(prints) :])
    searched_s = time.process_time() - began
    found = {(pair.first, pair.second - len(prints)) for pair in with_copies.copies if pair.second >= len(prints)}
    print(
        f"{len(frames)} frames, copies of every {every}th: fingerprints {drawn_s:.0f} CPU s, search {searched_s:.1f} s"
    )
    print("\n| planted copy | copies | found | recall |\n|---|---|---|---|")
    for kind in KINDS:
        own = [number for number, (_, name) in enumerate(copies) if name == kind]
        hits = sum((copies[number][0], number) in found for number in own)
        print(f"| {kind} | {len(own)} | {hits} | {hits / len(own):.2%} |")
    strangers(frames, [(pair.first, pair.second) for pair in among_frames.copies])


def strangers(frames: list[Frame], found: list[tuple[int, int]]) -> None:
    """False alarms among frames that surely have nothing to do with each other, and pairs of which nobody knows."""
    cohorts = Counter(frame.cohort for frame in frames)
    groups = Counter((frame.cohort, frame.sequence) for frame in frames if frame.sequence)
    told = {cohort: sum(n for (name, _), n in groups.items() if name == cohort) for cohort in cohorts}
    across = (len(frames) ** 2 - sum(n * n for n in cohorts.values())) // 2
    within = sum(n * n for n in told.values()) // 2 - sum(n * n for n in groups.values()) // 2
    wrong = [pair for pair in found if _relation(frames, pair) == "strangers"]
    unknown = [pair for pair in found if _relation(frames, pair) == "unknown"]
    concerned = len({index for pair in wrong for index in pair})
    pairs = across + within
    print(f"\nstrangers: {pairs:,} pairs, {len(wrong)} taken for copies ({len(wrong) / max(pairs, 1):.6%} of pairs),")
    print(f"  {concerned} of {len(frames)} frames concerned ({concerned / len(frames):.3%})")
    print(f"pairs within a cohort whose sequences are not told: {len(unknown)} found")
    for one, other in wrong[:20]:
        print(f"  wrong: {frames[one].cohort}/{frames[one].frame} and {frames[other].cohort}/{frames[other].frame}")


def _relation(frames: list[Frame], pair: tuple[int, int]) -> str:
    one, other = (frames[index] for index in pair)
    if one.cohort != other.cohort:
        return "strangers"
    if one.sequence is None or other.sequence is None:
        return "unknown"
    return "neighbours" if one.sequence == other.sequence else "strangers"


def time_search(count: int) -> None:
    """Hashes of strangers differ in 128 ± 11 bits here (real ones differ in less; each bit is drawn for a quarter)."""
    rng = np.random.default_rng(0)
    small = rng.normal(0, 1, (count, 11, 11)).astype(np.float32)
    prints: list[Fingerprint | None] = []
    for image in small:
        relief = cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC)
        prints.append(fingerprint_of(relief))
    began, wall = time.process_time(), time.perf_counter()
    search = find_alike(prints)
    cpu_s, wall_s = time.process_time() - began, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} × {count} fingerprints, four mirrorings: {cpu_s:.1f} CPU s, {wall_s:.1f} s, {peak:.2f} GiB")
    print(f"{len(search.pairs)} pairs found")


def fingerprint_of(relief: np.ndarray) -> Fingerprint:
    whole = np.clip(relief * 40, -127, 127).astype(np.int8)
    return Fingerprint(difference_hash(whole), whole)


if __name__ == "__main__":
    main()
