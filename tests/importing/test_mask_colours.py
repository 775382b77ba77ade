"""Which of several drawn colours is the polyp: told by tables and names, or asked for, never joined in silence."""

import json

import numpy as np
import pytest
from importing.painted_sources import HEIGHT, WIDTH, encoded, frame, lines, mask, put, run_import

from polypda.cohorts.images import read_mask
from polypda.errors import DataError, UsageError
from polypda.importing.images.masks import voc_colour

POLYP = mask() > 0
TOOL = np.zeros((HEIGHT, WIDTH), bool)
TOOL[26:36, 30:56] = True
BRIGHT = ((250, 50, 83), (51, 221, 255), (0, 0, 0))
DARK = ((48, 112, 32), (176, 112, 32), (0, 0, 0))
NEAR = ((250, 50, 83), (230, 70, 60), (0, 0, 0))
BROWN_GROUND = ((48, 112, 32), None, (176, 112, 32))


def hexadecimal(colour):
    return "#" + bytes(colour).hex()


def classes(colours, polyp=POLYP, tool=TOOL):
    """A class mask of polyp, instrument and background."""
    drawn = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    drawn[:] = colours[2]
    if colours[1]:
        drawn[tool] = colours[1]
    drawn[polyp] = colours[0]
    return drawn


def labelmap(colours):
    named = zip(("polyp", "instrument", "background"), colours, strict=True)
    rows = [f"{name}:{','.join(map(str, colour))}::" for name, colour in named if colour]
    return "\n".join(["# label:color_rgb:parts:actions", *rows]).encode()


def export(folder, colours, told=True, suffix=".png"):
    """CVAT's "Segmentation mask 1.1": the second frame shows the instrument alone."""
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    for number, polyp in enumerate((POLYP, nothing, POLYP)):
        put(folder / "JPEGImages" / f"{number}.jpg", frame(number))
        drawn = classes(colours, polyp)
        data = encoded(drawn, "JPEG", quality=95, subsampling=0) if suffix == ".jpg" else drawn
        put(folder / "SegmentationClass" / f"{number}{suffix}", data)
        instances = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        instances[polyp], instances[TOOL] = (128, 0, 0), (0, 128, 0)
        put(folder / "SegmentationObject" / f"{number}.png", instances)
    if told:
        put(folder / "labelmap.txt", labelmap(colours))
    return folder


def polyp_px(result):
    return [int(read_mask(result.folder / "masks" / f"{number}.png").sum()) for number in range(3)]


@pytest.mark.parametrize("colours", [BRIGHT, DARK, NEAR, BROWN_GROUND], ids=["bright", "dark", "near", "brown ground"])
def test_a_labelmap_tells_the_polyp(tmp_path, colours):
    result = run_import(export(tmp_path / "src", colours), tmp_path / "root")
    assert polyp_px(result) == [POLYP.sum(), 0, POLYP.sum()]
    assert lines(result) == {"N_MASK_INSTANCES": ["src"], "N_MASK_CLASSES": ["labelmap.txt"]}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_labelmap_tells_the_polyp_of_compressed_masks_too(tmp_path, suffix):
    result = run_import(export(tmp_path / "src", NEAR, suffix=suffix), tmp_path / "root")
    assert np.abs(np.array(polyp_px(result)) - [POLYP.sum(), 0, POLYP.sum()]).max() <= 12


@pytest.mark.parametrize("colours", [BRIGHT, DARK, NEAR, BROWN_GROUND], ids=["bright", "dark", "near", "brown ground"])
def test_without_a_word_which_colour_is_the_polyp_the_user_is_asked(tmp_path, colours):
    source = export(tmp_path / "src", colours, told=False)
    with pytest.raises(DataError, match="E_MASK_CLASS") as caught:
        run_import(source, tmp_path / "root")
    assert hexadecimal(colours[0]) in caught.value.what and "-O polyp" in caught.value.fix
    named = {"polyp": hexadecimal(colours[0])}
    result = run_import(source, tmp_path / "root", options=named)
    assert polyp_px(result) == [POLYP.sum(), 0, POLYP.sum()]
    every = run_import(source, tmp_path / "any", options={"polyp": "any"})
    if colours[1]:
        assert polyp_px(every) == [(POLYP | TOOL).sum(), TOOL.sum(), (POLYP | TOOL).sum()]


def test_a_colour_that_no_mask_holds_stands_for_the_one_near_it(tmp_path):
    source = export(tmp_path / "src", BRIGHT, told=False)
    near = run_import(source, tmp_path / "root", options={"polyp": "#ff3050"})
    assert polyp_px(near) == [POLYP.sum(), 0, POLYP.sum()]
    source = export(tmp_path / "two", NEAR, told=False)
    with pytest.raises(DataError, match=r"E_MASK_CLASS.*are near it"):
        run_import(source, tmp_path / "other", options={"polyp": "#f03c50"})


def test_one_colour_is_the_polyp_whatever_it_is(tmp_path):
    for number in range(2):
        put(tmp_path / "src" / "images" / f"{number}.jpg", frame(number))
        put(tmp_path / "src" / "masks" / f"{number}.png", classes(BRIGHT, tool=np.zeros_like(TOOL)))
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert lines(result) == {} and read_mask(result.folder / "masks/1.png").sum() == POLYP.sum()


def test_colours_of_different_files_are_seen_together(tmp_path):
    """Each file by itself is black and one colour."""
    for number, colour in enumerate(((255, 0, 0), (0, 255, 0))):
        put(tmp_path / "src" / "images" / f"{number}.jpg", frame(number))
        put(tmp_path / "src" / "masks" / f"{number}.png", classes((colour, None, (0, 0, 0))))
    with pytest.raises(DataError, match=r"E_MASK_CLASS.*#ff0000 \(1 masks\), #00ff00 \(1 masks\)"):
        run_import(tmp_path / "src", tmp_path / "root")


@pytest.mark.parametrize("values", [(1, 2), (1, 255), (200, 255)])
def test_grey_classes_are_asked_for(tmp_path, values):
    """1 and 255 in every file are a class and VOC's rim."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[POLYP], drawn[TOOL] = values
    for number in range(2):
        put(tmp_path / "src" / "images" / f"{number}.jpg", frame(number))
        put(tmp_path / "src" / "masks" / f"{number}.png", drawn)
    with pytest.raises(DataError, match="E_MASK_CLASS"):
        run_import(tmp_path / "src", tmp_path / "root")
    result = run_import(tmp_path / "src", tmp_path / "root", options={"polyp": str(values[0])})
    assert read_mask(result.folder / "masks/0.png").sum() == POLYP.sum()


def test_a_table_whose_classes_are_not_understood_is_asked_about(tmp_path):
    source = export(tmp_path / "src", BRIGHT)
    put(source / "labelmap.txt", labelmap(BRIGHT).replace(b"polyp", b"bump").replace(b"instrument", b"thing"))
    with pytest.raises(DataError, match=r"E_MASK_CLASS.*bump, thing"):
        run_import(source, tmp_path / "root")
    assert polyp_px(run_import(source, tmp_path / "root", options={"classes": "bump"}))[1] == 0
    with pytest.raises(UsageError, match="E_CLASS"):
        run_import(source, tmp_path / "other", options={"classes": "hump"})


def test_a_colour_that_the_table_does_not_name_is_told(tmp_path):
    source = export(tmp_path / "src", BRIGHT)
    put(source / "SegmentationClass" / "0.png", classes(DARK))
    assert lines(run_import(source, tmp_path / "root"))["E_MASK_CLASS"] == ["JPEGImages/0.jpg"]


def test_images_of_instances_alone_are_asked_about(tmp_path):
    source = export(tmp_path / "src", BRIGHT, told=False)
    for path in (source / "SegmentationClass").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="E_MASK_CLASS"):
        run_import(source, tmp_path / "root")
    single = tmp_path / "single"
    put(single / "images" / "0.jpg", frame())
    put(single / "instances" / "0.png", classes(((128, 0, 0), None, (0, 0, 0))))
    with pytest.raises(DataError, match=r"E_MASK_CLASS.*instances"):
        run_import(single, tmp_path / "root")
    result = run_import(single, tmp_path / "root", options={"polyp": "any"})
    assert read_mask(result.folder / "masks/0.png").sum() == POLYP.sum()


def test_class_names_of_labelme2voc(tmp_path):
    """Colours by VOC's rule; its overlays are no frames."""
    assert [voc_colour(number) for number in (0, 1, 2, 3, 20)] == [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 64, 128),
    ]
    put(tmp_path / "src/class_names.txt", b"_background_\ninstrument\npolyp\n")
    for number in range(3):
        put(tmp_path / f"src/JPEGImages/{number}.jpg", frame(number))
        put(tmp_path / f"src/SegmentationClassVisualization/{number}.jpg", frame(number + 9))
        put(tmp_path / f"src/SegmentationClassPNG/{number}.png", classes((voc_colour(2), voc_colour(1), (0, 0, 0))))
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert polyp_px(result) == [POLYP.sum()] * 3
    assert lines(result) == {
        "N_DRAWINGS": ["SegmentationClassVisualization"],
        "N_MASK_CLASSES": ["class_names.txt"],
    }


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("dataset.json", json.dumps({"labels": {"background": 0, "instrument": 1, "polyp": 2}})),
        ("dataset.json", json.dumps({"labels": {"0": "background", "1": "instrument", "2": "polyp"}})),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, instrument\n2, polyp\n"),
    ],
)
def test_tables_of_values(tmp_path, name, table):
    put(tmp_path / "src" / name, table.encode())
    drawn = POLYP * np.uint8(2) + TOOL * np.uint8(1)
    put(tmp_path / "src/images/0.jpg", frame())
    put(tmp_path / "src/masks/0.png", drawn)
    put(tmp_path / "src/images/1.jpg", frame(1))
    put(tmp_path / "src/masks/1.png", TOOL.astype(np.uint8))
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert [int(read_mask(result.folder / f"masks/{number}.png").sum()) for number in (0, 1)] == [POLYP.sum(), 0]


@pytest.mark.parametrize(
    "name", ["masks/{0}_{1}.png", "masks/{1}/{0}.png", "masks/{0}_mask_{1}.png", "{1}_masks/{0}.png"]
)
def test_masks_of_an_instrument_by_their_names_are_not_joined(tmp_path, name):
    for number in range(3):
        put(tmp_path / f"src/images/{number}.jpg", frame(number))
        if number != 1:
            put(tmp_path / "src" / name.format(number, "polyp"), mask())
        put(tmp_path / "src" / name.format(number, "instrument"), TOOL.astype(np.uint8) * 255)
    result = run_import(tmp_path / "src", tmp_path / "root")
    told = lines(result)
    assert told.pop("N_MASK_OTHER") == ["src"] and told.pop("W_MASK_MISSING") == ["images/1.jpg"]
    assert [record.label_state for record in result.records] == ["mask", "none", "mask"]
    assert read_mask(result.folder / "masks/2.png").sum() == POLYP.sum()


def test_names_that_are_not_understood_beside_polyps_are_told(tmp_path):
    put(tmp_path / "src/images/0.jpg", frame())
    for said, drawn in (("polyp", mask()), ("grasper", TOOL.astype(np.uint8) * 255)):
        put(tmp_path / f"src/masks/0_{said}.png", drawn)
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert "W_CLASS_UNKNOWN" in lines(result) and read_mask(result.folder / "masks/0.png").sum() == POLYP.sum()
    both = run_import(tmp_path / "src", tmp_path / "both", options={"classes": "polyp,grasper"})
    assert read_mask(both.folder / "masks/0.png").sum() == (POLYP | TOOL).sum()
