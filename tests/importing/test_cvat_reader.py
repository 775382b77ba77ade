"""CVAT files with what can be wrong with them."""

from __future__ import annotations

import pytest
from reader_fixtures import HEIGHT, WIDTH, MemoryTree, angle, codes, cvat_window, png, read_all

from polypda.errors import DataError
from polypda.importing.contract import BoxLabel, MaskLabel, NegativeLabel, UnknownLabel
from polypda.importing.readers.cvat import CvatReader

POINTS = ";".join(f"{x},{y}" for x, y in angle()[1])
SIZE = (HEIGHT, WIDTH)


def one(drawn="", reader=None, width=WIDTH, head=""):
    image = f'<image id="0" name="a.png" width="{width}" height="{HEIGHT}">{drawn}</image>'
    text = f"{head}<annotations><version>1.1</version>{image}</annotations>"
    frames, ledger = read_all(reader or CvatReader(), MemoryTree({"annotations.xml": text.encode(), "a.png": png()}))
    return frames.get("a"), ledger


def video(tracks, frames=6, name="v"):
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    text = f"<annotations><meta><task><name>{name}</name>{size}</task></meta>{tracks}</annotations>"
    files = {f"images/frame_{frame:06d}.png": png(seed=frame) for frame in range(frames)}
    found, ledger = read_all(CvatReader(), MemoryTree({"annotations.xml": text.encode(), **files}))
    return {int(name[-6:]): frame for name, frame in found.items()}, ledger


@pytest.mark.parametrize(
    "drawn",
    [
        '<polygon label="polyp" points=""/>',
        '<polygon label="polyp" points="1,2;nan,3;4,5"/>',
        '<polygon label="polyp" points="1,2;3"/>',
        '<box label="polyp" xtl="1" ytl="2" xbr="x" ybr="4"/>',
        '<box label="polyp" xtl="1" ytl="2" xbr="3" ybr="4" rotation="inf"/>',
        '<ellipse label="polyp" cx="1" cy="2" rx="-3" ry="4"/>',
        '<mask label="polyp" rle="1,2" left="1"/>',
        '<points label="polyp" points="1,2"/>',
        '<polyline label="polyp" points="1,2;3,4;5,6"/>',
        '<cuboid label="polyp"/>',
    ],
)
def test_shapes_that_cannot_be_read_leave_the_frame_without_a_label(drawn):
    frame, ledger = one(drawn)
    assert frame.label == UnknownLabel()
    assert codes(ledger) == ["W_SHAPE_BROKEN"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"rle": "1, 2, x"}, "E_RLE"),
        ({"rle": "1, 2"}, "E_RLE_LENGTH"),
        ({"rle": ""}, "E_RLE"),
        ({"left": WIDTH - 3}, "E_RLE_WINDOW"),
        ({"width": 10**9}, "E_RLE_WINDOW"),
        ({"top": -1}, "E_RLE_WINDOW"),
    ],
)
def test_damaged_masks_are_told_when_they_are_drawn(changed, code):
    runs, (left, top, width, height) = cvat_window(angle()[0])
    told = {"rle": runs, "left": left, "top": top, "width": width, "height": height, **changed}
    frame, _ = one(f'<mask label="polyp" {" ".join(f"{name}={str(value)!r}" for name, value in told.items())}/>')
    with pytest.raises(DataError) as caught:
        frame.label.read(SIZE)
    assert caught.value.code == code


def test_other_size_is_told():
    frame, _ = one(f'<polygon label="polyp" points="{POINTS}"/>', width=WIDTH + 9)
    with pytest.raises(DataError, match="E_ANNOTATION_SIZE"):
        frame.label.read(SIZE)


def test_image_without_shapes_is_unknown_unless_somebody_says_so():
    assert one()[0].label == UnknownLabel()
    assert one('<tag label="negative"/>')[0].label == NegativeLabel()
    assert one('<tag label="blurred"/>')[0].label == UnknownLabel()
    assert one(reader=CvatReader.with_options({"unannotated": "negative"}))[0].label == NegativeLabel()


def test_entities_end_the_import():
    with pytest.raises(DataError, match=r"E_XML_ENTITIES annotations\.xml"):
        one(head='<!DOCTYPE a [<!ENTITY x "y">]>')


def test_track_box_stays_until_it_leaves_and_moves_linearly():
    def box(frame, x, outside=0):
        return f'<box frame="{frame}" outside="{outside}" xtl="{x}" ytl="1" xbr="{x + 4}" ybr="9"/>'

    frames, _ = video(f'<track label="polyp">{box(0, 2)}{box(4, 10)}{box(5, 10, 1)}</track>')
    assert [frames[n].label.boxes[0].x0 for n in range(5)] == [2, 4, 6, 8, 10]
    assert frames[5].label == UnknownLabel()
    frames, _ = video(f'<track label="polyp">{box(1, 2)}{box(4, 2, 1)}</track>')
    assert [isinstance(frames[n].label, BoxLabel) for n in range(6)] == [False, True, True, True, False, False]
    assert {frame.sequence for frame in frames.values()} == {"v"}


def test_polygons_of_a_track_are_not_guessed_between():
    def polygon(frame):
        return f'<polygon frame="{frame}" outside="0" points="{POINTS}"/>'

    frames, ledger = video(f'<track label="polyp">{polygon(0)}{polygon(3)}</track>')
    assert [isinstance(frames[n].label, MaskLabel) for n in range(4)] == [True, False, False, True]
    assert codes(ledger) == ["W_TRACK_GAP"] * 2


def test_absurd_frame_numbers_cost_nothing():
    far = '<box frame="999999999" outside="0" xtl="1" ytl="1" xbr="4" ybr="9"/>'
    near = '<box frame="0" outside="0" xtl="1" ytl="1" xbr="4" ybr="9"/>'
    worse = '<box frame="99999999999999999999" xtl="1" ytl="1" xbr="4" ybr="9"/><box frame="-1"/><box/>'
    frames, ledger = video(f'<track label="polyp">{near}{far}{worse}</track>', frames=3)
    assert set(frames) == {0, 1, 2}
    assert codes(ledger) == ["E_IMAGE_MISSING"]


def test_two_videos_in_folders_of_their_own_are_told_apart():
    files = {}
    for name in ("one", "two"):
        box = f'<box frame="0" outside="0" xtl="{3 * len(files)}" ytl="1" xbr="30" ybr="9"/>'
        track = f'<track label="polyp">{box}</track>'
        text = f"<annotations><meta><task><name>{name}</name></task></meta>{track}</annotations>"
        files |= {f"{name}/annotations.xml": text.encode(), f"{name}/images/frame_000000.PNG": png(seed=len(files))}
    frames, ledger = read_all(CvatReader(), MemoryTree(files))
    assert codes(ledger) == []
    assert {frame.sequence: frame.label.boxes[0].x0 for frame in frames.values()} == {"one": 0, "two": 6}
    assert all(frame.origin.startswith(frame.sequence) for frame in frames.values())


POLYGON = f'<polygon label="polyp" points="{POINTS}"/>'


def test_images_of_equal_names_in_a_projects_subsets():
    listed = "".join(
        f'<image id="{index}" name="0.png" subset="{part}" width="{WIDTH}" height="{HEIGHT}">{drawn}</image>'
        for index, (part, drawn) in enumerate((("Train", POLYGON), ("Test", ""), ("default", POLYGON)))
    )
    files = {f"images/{part}/0.png": png(seed=index) for index, part in enumerate(("Train", "Test", "default"))}
    files["annotations.xml"] = f"<annotations><version>1.1</version>{listed}</annotations>".encode()
    frames, ledger = read_all(CvatReader(), MemoryTree(files))
    assert codes(ledger) == [] and set(frames) == {"Train-0", "Test-0", "default-0"}
    assert frames["Test-0"].label == UnknownLabel() and frames["Test-0"].origin == "images/Test/0.png"
    assert all(isinstance(frames[name].label, MaskLabel) for name in ("Train-0", "default-0"))


def test_whether_the_only_class_is_the_polyp_is_decided_over_the_whole_export():
    files = {}
    for name, label in (("a", "grasper"), ("b", "bump")):
        image = f'<image id="0" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">'
        drawn = POLYGON.replace('"polyp"', f'"{label}"')
        files[f"{name}.xml"] = f"<annotations><version>1.1</version>{image}{drawn}</image></annotations>".encode()
        files[f"{name}.png"] = png(seed=ord(name))
    frames, ledger = read_all(CvatReader(), MemoryTree(files))
    assert [frames[name].label for name in "ab"] == [UnknownLabel()] * 2
    assert codes(ledger) == ["W_CLASS_UNKNOWN"] * 2
