"""What a contact sheet shows of a cohort."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polypda.reporting.overlays.contact_sheet import (
    BOX_LINE,
    CELL_WIDTH_PX,
    SheetFrame,
    draw_contact_sheet,
    evenly_drawn,
)


@given(st.dictionaries(st.sampled_from(["mask", "box", "negative", "none", "empty"]), st.integers(1, 60), min_size=1))
def test_every_kind_is_drawn_and_large_kinds_more(sizes):
    kinds = [kind for kind, size in sizes.items() for _ in range(size)]
    drawn = evenly_drawn(kinds)
    assert len(drawn) == len(set(drawn)) == min(16, len(kinds)) and drawn == sorted(drawn)
    seats = Counter(kinds[index] for index in drawn)
    assert set(seats) == set(sizes)
    assert all(seats[a] >= seats[b] for a in sizes for b in sizes if sizes[a] > sizes[b] and seats[b] > 1)


def test_frames_of_one_kind_are_spread_over_the_cohort():
    drawn = evenly_drawn(["mask"] * 160)
    assert drawn == [5 + 10 * seat for seat in range(16)] or np.ptp(np.diff(drawn)) <= 1


def test_masks_and_boxes_are_drawn_where_they_are():
    grey = np.full((300, CELL_WIDTH_PX, 3), 120, np.uint8)
    mask = np.zeros(grey.shape[:2], bool)
    mask[100:200, 100:200] = True
    plain, masked, boxed = (
        draw_contact_sheet("t", "s", [frame])
        for frame in (
            SheetFrame("a", "k", grey),
            SheetFrame("a", "k", grey, mask=mask),
            SheetFrame("a", "k", grey, boxes=((100, 100, 200, 200),)),
        )
    )
    top, left = np.argwhere((plain == 120).all(axis=2)).min(axis=0)
    for sheet, line in ((masked, (255, 255, 255)), (boxed, BOX_LINE.colour)):
        cell = sheet[top : top + 300, left : left + CELL_WIDTH_PX].astype(int)
        rows, columns = np.nonzero(np.abs(cell - line).max(axis=2) < 60)
        assert np.allclose([rows.min(), columns.min(), rows.max(), columns.max()], [100, 100, 200, 200], atol=4)
        assert (cell[140:160, 140:160] == 120).all() and (cell[:80] == 120).all()


def test_a_sheet_of_sixteen_is_a_page_and_of_one_as_well():
    frame = SheetFrame("病例-" + "x" * 90, "no polyp", np.full((576, 720, 3), 90, np.uint8))
    for count in (1, 3, 16):
        sheet = draw_contact_sheet("cohort", "16 frames", [frame] * count)
        assert sheet.dtype == np.uint8 and 1800 < sheet.shape[1] < 2000 and sheet.shape[0] < 2400
