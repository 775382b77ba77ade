"""SUN, PolypsSet and PolyDeep with what can be wrong with their folders, rows and files."""

from __future__ import annotations

import pytest
from reader_fixtures import HEIGHT, WIDTH, MemoryTree, codes, png, read_all, voc

from polypda.errors import DataError
from polypda.importing.contract import BoxLabel, NegativeLabel, UnknownLabel
from polypda.importing.readers.polydeep import PolyDeepReader
from polypda.importing.readers.public_sets import PolypsSetReader, SunReader


def sun(rows, frames=("a.jpg",), case="case1", **more):
    files = {f"pos/{case}/{name}": png() for name in frames}
    files[f"pos/annotation_txt/{case}.txt"] = rows if isinstance(rows, bytes) else rows.encode()
    return read_all(SunReader(), MemoryTree({**files, **more}))


@pytest.mark.parametrize(
    "row", ["a.jpg", "a.jpg 1,2,3", "a.jpg 1,2,x,4,0", "a.jpg nan,2,3,4,0", "a.jpg 1,2,3,4,0 junk", "a.jpg 1,2,3,4,5,6"]
)
def test_sun_row_that_cannot_be_read_leaves_its_frame_without_a_label(row):
    frames, ledger = sun(f"{row}\nb.jpg 1,2,3,4,0\n", ("a.jpg", "b.jpg"))
    assert frames["case1_a"].label == UnknownLabel()
    assert isinstance(frames["case1_b"].label, BoxLabel)
    assert codes(ledger) == ["E_ANNOTATION_ROW", "W_ANNOTATION_MISSING"]


def test_sun_rows_without_frames_and_twice():
    _, ledger = sun("a.jpg 1,2,3,4,0\ngone.jpg 1,2,3,4,0\n")
    assert codes(ledger) == ["E_IMAGE_MISSING"]
    frames, ledger = sun("a.jpg 1,2,3,4,0\n\na.jpg 5,5,9,9,0\na.jpg 1,2,3,4,0\n")
    assert len(frames["case1_a"].label.boxes) == 2
    assert codes(ledger) == ["W_ANNOTATION_TWICE"] * 2


def test_sun_rows_with_tabs_case_marks_and_windows_ends():
    frames, _ = sun(b"\xef\xbb\xbfA.JPG\t1,2,3,4,0\r\n")
    assert isinstance(frames["case1_a"].label, BoxLabel)


def test_sun_case_without_rows_is_unknown_unless_it_is_called_negative():
    files = {"case7/a.jpg": png(), "annotation_txt/case1.txt": b"", "x/case9/b.jpg": png()}
    frames, ledger = read_all(SunReader(), MemoryTree(files))
    assert {frame.label for frame in frames.values()} == {UnknownLabel()}
    assert codes(ledger) == ["W_ANNOTATION_MISSING"] * 2
    frames, _ = read_all(SunReader(), MemoryTree({"case7/a.jpg": png()}, name="sundatabase_negative_part1"))
    assert frames["negative-case7_a"].label == NegativeLabel()
    tree = MemoryTree({"SUN-Positive/case7/a.jpg": png()}, name="negative-and-positive")
    frames, _ = read_all(SunReader(), tree)
    assert frames["case7_a"].label == UnknownLabel()


def test_sun_damaged_text_and_empty_folders():
    frames, ledger = sun(b"\xff\x81\xff")
    assert frames["case1_a"].label == UnknownLabel()
    assert "E_ANNOTATION_ENCODING" in codes(ledger)
    with pytest.raises(DataError, match="E_LAYOUT"):
        read_all(SunReader(), MemoryTree({"a.png": png()}))


def polypsset(annotation, image=True):
    files = {"val2019/Annotation/2/1.xml": annotation, "val2019/Image/2/2.jpg": png()}
    if image:
        files["val2019/Image/2/1.jpg"] = png()
    frames, ledger = read_all(PolypsSetReader(), MemoryTree(files))
    return frames.get("val2019_2_1"), [code for code in codes(ledger) if code != "W_ANNOTATION_MISSING"]


def test_polypsset_counts_from_1_and_includes_the_last_pixel():
    frame, _ = polypsset(voc(("adenomatous", 1, 1, WIDTH, HEIGHT)))
    assert [(box.x0, box.y0, box.x1, box.y1) for box in frame.label.boxes] == [(0, 0, WIDTH, HEIGHT)]
    frame, found = polypsset(voc(("hyperplastic", 0, 0, 10, 9)))  # from 0 after all: cut by the one pixel
    assert (frame.label.boxes[0].x0, frame.label.boxes[0].label) == (0, "hyperplastic")
    assert found == []


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        (b"<annotation>", "E_XML"),
        (b"<annotations/>", "E_VOC"),
        (b"", "E_XML"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><annotation/>', "E_XML_ENTITIES"),
    ],
)
def test_polypsset_damaged_annotation_leaves_its_frame_out(annotation, code):
    frame, found = polypsset(annotation)
    assert frame is None
    assert found == [code]


def test_polypsset_objects_that_cannot_be_read():
    broken = voc(("adenomatous", 1, 1, 5, 5)).replace(b"<xmax>5", b"<xmax>five")
    frame, found = polypsset(broken)
    assert (frame.label, found) == (UnknownLabel(), ["W_SHAPE_BROKEN"])
    frame, found = polypsset(b"<annotation><object><name>adenomatous</name></object></annotation>")
    assert (frame.label, found) == (UnknownLabel(), ["W_SHAPE_BROKEN"])
    frame, found = polypsset(voc())
    assert (frame.label, found) == (NegativeLabel(), [])


def test_polypsset_annotation_without_a_image_is_one_line():
    frame, found = polypsset(voc(), image=False)
    assert frame is None
    assert found == ["E_IMAGE_MISSING"]


def test_polydeep_table_of_places():
    table = (
        "image_id;x;y;width;height;polyp_name;video_title;patientID;gallery\n"
        "11;30;20;-10;-8;P1;V1;pat7;NBI polyps\n11;1;2;5;6;P1;V1;pat7;NBI polyps\n12;;;;;;V2;pat8;Not polyp WL\n"
        "13;1;2;x;6;P3;V3;pat9;WL\n14;1;2;3;4;P4;V3;pat9;WL\n"
    )
    files = {"places.csv": table.encode("utf-16"), **{f"{n}.jpg": png() for n in (11, 12, 13, 15)}}
    tree = MemoryTree(files)
    frames, ledger = read_all(PolyDeepReader(), tree)
    assert [(box.x0, box.y0, box.x1, box.y1) for box in frames["11"].label.boxes] == [(20, 12, 30, 20), (1, 2, 6, 8)]
    assert (frames["11"].mode, frames["11"].patient, frames["11"].sequence) == ("NBI", "pat7", "V1")
    assert (frames["12"].label, frames["12"].mode) == (NegativeLabel(), "WL")
    assert frames["13"].label == frames["15"].label == UnknownLabel()
    assert codes(ledger) == ["E_ANNOTATION_ROW", "E_IMAGE_MISSING", "W_ANNOTATION_MISSING", "W_SHAPE_BROKEN"]


def test_polydeep_counts_from_0_and_pairs_by_name():
    files = {
        "a/JPEGImages/1.jpg": png(),
        "b/JPEGImages/1.jpg": png(),
        "b/Annotations/1.xml": voc(("polyp", 0, 3, 9, 9)),
    }
    frames, _ = read_all(PolyDeepReader(), MemoryTree(files))
    box = frames["b-JPEGImages-1"].label.boxes[0]
    assert (box.x0, box.y0, box.x1, box.y1) == (0, 3, 9, 9)
    assert frames["a-JPEGImages-1"].label == UnknownLabel()
    files = {"a/1.jpg": png(), "b/1.jpg": png(), "x/1.xml": voc(), "x/2.xml": voc()}
    _, ledger = read_all(PolyDeepReader(), MemoryTree(files))
    assert codes(ledger)[:2] == ["E_IMAGE_AMBIGUOUS", "E_IMAGE_MISSING"]


def test_polydeep_contradiction_is_told():
    files = {"negatives/JPEGImages/1.jpg": png(), "negatives/Annotations/1.xml": voc(("polyp", 1, 2, 9, 9))}
    frames, ledger = read_all(PolyDeepReader(), MemoryTree(files))
    assert isinstance(frames["1"].label, BoxLabel)
    assert codes(ledger) == ["W_NEGATIVE_CONTRADICTED"]
