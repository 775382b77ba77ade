"""What the ledger says of a film as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from polypda.importing.contract import Remark
from polypda.importing.films.deinterlacing import Deinterlace, FilmScan
from polypda.importing.films.films import Film
from polypda.quality.interlacing import Scan


def film_remarks(film: Film, scan: FilmScan | None, how: Deinterlace) -> Iterator[Remark]:
    """What is worth knowing of a film whose frames were taken. scan: None where it was not looked for."""
    if film.pixel_aspect is not None and film.pixel_aspect != 1:
        aspect = film.pixel_aspect
        what = (
            f"says that its pixels are {aspect.numerator}:{aspect.denominator}, not square; they are kept as they are."
        )
        yield Remark("N_VIDEO_PIXEL_ASPECT", what)
    if film.turned_degrees:
        yield Remark("N_VIDEO_ROTATED", f"turned upright by {film.turned_degrees} degrees as it says.")
    if film.without_times:
        what = "some frames carry no time: it was counted from their number and the frame rate."
        yield Remark("W_VIDEO_TIMES", what)
    if film.clock_set_back:
        what = "its clock goes back within it, as where recordings were joined: times go on from the frame before."
        yield Remark("W_VIDEO_TIMES", what)
    if scan is not None:
        yield scan_remark(scan, how)


def scan_remark(scan: FilmScan, how: Deinterlace) -> Remark:
    """What the interlace detector saw, what the film says of itself, and what was done."""
    decision = scan.decision
    seen = (
        f"{decision.scan.value} ({decision.combed} of {decision.judged} frames combed, {decision.confidence:.0%} sure)"
    )
    if how is Deinterlace.AUTO:
        done = "de-interlaced by bwdif" if scan.interlaced else "left as it is"
    else:
        done = f"de-interlaced by {how.value}"
    says = "interlaced" if scan.coded_interlaced else "progressive"
    code = "N_VIDEO_SCAN" if decision.scan.value in (says, Scan.UNKNOWN.value) else "W_VIDEO_SCAN"
    return Remark(code, f"looks {seen}, says {says}; {done}.")
