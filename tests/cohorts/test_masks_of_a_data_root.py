"""Masks and frames of a data root, stored as other tools store them: read as an import reads them, or refused alike."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from support.painted import paint

from polypda.cohorts.images import read_ignored, read_image, read_mask
from polypda.cohorts.layouts import cohort_masks
from polypda.cohorts.opening import open_cohort
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.labels import read_reference
from polypda.errors import DataError
from polypda.importing.images.masks import read_mask_file
from polypda.importing.source_tree import FolderTree
from polypda.quality.checking.check_cohorts import check_cohort

COUNT = 3


def png(pixels):
    return lambda path: cv2.imwrite(f"{path}.png", pixels)


def write_cohort(root, kind, count=COUNT, cohort="haining"):
    """An ordinary cohort folder whose masks are stored by ``kind`` (0/1 pixels → a writer of a path without suffix)."""
    for name in ("images", "masks"):
        (root / cohort / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, mask = paint(number)
        cv2.imwrite(str(root / cohort / "images" / f"{number:03d}.png"), image[..., ::-1])
        kind(mask // 255)(root / cohort / "masks" / f"{number:03d}")
    return root


def tif(pixels, photometric):
    return lambda path: tifffile.imwrite(f"{path}.tif", pixels, photometric=photometric)


READ = {
    "8-bit 0-255": lambda m: png(m * 255),
    "8-bit 0-1": png,
    "16-bit 0-65535": lambda m: png(m.astype(np.uint16) * 65535),
    "16-bit 0-255": lambda m: png(m.astype(np.uint16) * 255),
    "16-bit 0-1": lambda m: png(m.astype(np.uint16)),
    "16-bit colour 0-255": lambda m: png(np.dstack([m.astype(np.uint16) * 255] * 3)),
    "white, drawn in alpha": lambda m: png(np.dstack([np.full_like(m, 255)] * 3 + [m * 255])),
    "white is zero": lambda m: tif((1 - m) * 255, "miniswhite"),
    "16-bit TIFF 0-255": lambda m: tif(m.astype(np.uint16) * 255, "minisblack"),
    "one bit": lambda m: lambda path: Image.fromarray(m > 0).save(f"{path}.png"),
    "bright, not white": lambda m: png(m * 200),
}


@pytest.mark.parametrize("kind", READ)
def test_masks_are_read_as_they_were_drawn(tmp_path, kind):
    root = write_cohort(tmp_path / "data", READ[kind])
    for number, frame in enumerate(open_cohort("haining", root).frames):
        drawn = paint(number)[1] // 255
        assert np.array_equal(read_reference(frame, read_image(frame.image)), drawn)
        imported = read_mask_file(FolderTree(frame.mask.parent), frame.mask.name, drawn.shape)
        assert np.array_equal(imported, drawn)
    assert not check_cohort("haining", root).has_errors


REFUSED = {
    "class 2": (lambda m: png(m * 2), "E_MASK_CLASS"),
    "VOC's dark red as grey": (lambda m: png(m * 38), "E_MASK_CLASS"),
    "16-bit class 2": (lambda m: png(m.astype(np.uint16) * 2), "E_MASK_CLASS"),
    "black, drawn in alpha": (lambda m: png(np.dstack([m * 0] * 3 + [m * 255])), "E_MASK_ALPHA"),
    "a map": (lambda m: tif((m * 0.7).astype(np.float32), "minisblack"), "E_MASK_FLOAT"),
    "JPEG of a class": (lambda m: lambda path: cv2.imwrite(f"{path}.jpg", m * 38), "E_MASK_NOT_BINARY"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_an_import_refuses_is_refused_alike(tmp_path, kind):
    store, code = REFUSED[kind]
    root = write_cohort(tmp_path / "data", store)
    frames = open_cohort("haining", root).frames
    with pytest.raises(DataError, match=code):
        read_reference(frames[0], read_image(frames[0].image))
    with pytest.raises(DataError, match=code):
        read_mask_file(FolderTree(frames[0].mask.parent), frames[0].mask.name, paint(0)[1].shape)
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert findings[code].frames == tuple(frame.frame for frame in frames)
    assert "N_MASK_EMPTY" not in findings


def reads(frames):
    """The code with which each frame's mask is refused, None where it is read."""
    found = []
    for frame in frames:
        try:
            read_mask(frame.mask, frame.fellows)
            found.append(None)
        except DataError as error:
            found.append(error.code)
    return found


@pytest.mark.parametrize(
    ("usual", "odd", "code"),
    [
        (lambda m: m * 255, lambda m: m, "E_MASK_SCALE"),  # 0/1 beside 0/255
        (lambda m: m.astype(np.uint16) * 65535, lambda m: m.astype(np.uint16) * 200, "E_MASK_SCALE"),
        (lambda m: m.astype(np.uint16) * 65535, lambda m: m, "E_MASK_SCALE"),
    ],
)
def test_a_mask_of_another_scale_than_its_cohorts_is_refused(tmp_path, usual, odd, code):
    root = write_cohort(tmp_path / "data", lambda m: png(usual(m)))
    png(odd(paint(1)[1] // 255))(root / "haining" / "masks" / "001")
    assert reads(open_cohort("haining", root).frames) == [None, code, None]
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert findings[code].frames == ("001",)


def test_zero_and_one_beside_a_class_are_classes(tmp_path):
    root = write_cohort(tmp_path / "data", png)
    png(paint(2)[1] // 255 * 2)(root / "haining" / "masks" / "002")
    assert reads(open_cohort("haining", root).frames) == ["E_MASK_CLASS"] * COUNT
    view = check_cohort("haining", root)
    assert {f.code: f for f in view.findings}["E_MASK_CLASS"].frames == ("000", "001", "002")


def test_the_noise_of_a_jpeg_is_no_polyp(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: lambda path: cv2.imwrite(f"{path}.jpg", m * 255))
    noise = np.zeros((72, 96), np.uint8)
    noise[30:40, 30:40] = 1
    cv2.imwrite(str(root / "haining" / "masks" / "001.jpg"), noise, [cv2.IMWRITE_JPEG_QUALITY, 100])
    frames = open_cohort("haining", root).frames
    assert not read_mask(frames[1].mask, frames[1].fellows).any()
    alone = cohort_masks([frames[1].mask])
    with pytest.raises(DataError, match="E_MASK_NOT_BINARY"):
        read_mask(frames[1].mask, alone)


def test_other_masks_are_read_only_where_one_is_in_doubt(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255))
    frames = open_cohort("haining", root).frames
    assert reads(frames) == [None] * COUNT
    assert "scales" not in vars(frames[0].fellows)
    png(paint(0)[1] // 255)(root / "haining" / "masks" / "000")
    frames = open_cohort("haining", root).frames
    assert reads(frames)[0] == "E_MASK_SCALE" and "scales" in vars(frames[0].fellows)
    assert frames[0].without_label().fellows is None


def test_a_cached_mask_is_not_taken_when_another_mask_changes_its_meaning(tmp_path):
    root = write_cohort(tmp_path / "data", png)
    cache = FrameCache(tmp_path / "cache", NetworkGrid(32))
    frames = open_cohort("haining", root).frames
    assert cache.labelled(frames[:1]).masks[0].any()
    assert cache.labelled(open_cohort("haining", root).frames[:1]).masks.path == cache.labelled(frames[:1]).masks.path
    png(paint(2)[1] // 255 * 2)(root / "haining" / "masks" / "002")
    with pytest.raises(DataError, match="E_MASK_CLASS"):
        cache.labelled(open_cohort("haining", root).frames[:1])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_frames_of_sixteen_bits_are_not_black(tmp_path, suffix):
    image = paint(0)[0]
    full, twelve = tmp_path / f"full{suffix}", tmp_path / f"twelve{suffix}"
    for path, pixels in ((full, image.astype(np.uint16) * 257), (twelve, image.astype(np.uint16) * 16)):
        if suffix == ".tif":
            tifffile.imwrite(path, pixels, photometric="rgb")
        else:
            cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))
    assert np.array_equal(read_image(full), image)
    with pytest.raises(DataError, match=r"E_IMAGE_DEPTH.*up to \d+"):
        read_image(twelve)


def test_a_cut_off_frame_is_refused_where_it_is_read(tmp_path):
    path = tmp_path / "f.jpg"
    cv2.imwrite(str(path), paint(0)[0])
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match="E_IMAGE_TRUNCATED"):
        read_image(path)


def test_a_pointer_of_git_lfs_is_called_one(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    (root / "haining" / "masks" / "001.png").write_text(pointer)
    (root / "haining" / "images" / "002.png").write_text(pointer)
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert (
        findings["E_MASK_LFS_POINTER"].frames == ("001",) and "git lfs pull" in findings["E_MASK_LFS_POINTER"].message
    )
    assert findings["E_IMAGE_LFS_POINTER"].frames == ("002",)


def test_swapped_folders_are_called_swapped(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255))
    folder = root / "haining"
    (folder / "images").rename(folder / "other")
    (folder / "masks").rename(folder / "images")
    (folder / "other").rename(folder / "masks")
    frames = open_cohort("haining", root).frames
    with pytest.raises(DataError, match=r"E_MASK_SWAPPED.*swapped\?"):
        read_reference(frames[0], read_image(frames[0].image))
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert findings["E_MASK_SWAPPED"].frames == ("000", "001", "002")


def test_a_grey_mask_of_an_ordinary_frame_is_not_called_swapped(tmp_path):
    ramp = np.tile(np.arange(96, dtype=np.uint8) * 2, (72, 1))
    root = write_cohort(tmp_path / "data", lambda m: png(ramp))
    findings = {finding.code for finding in check_cohort("haining", root).findings}
    assert "E_MASK_NOT_BINARY" in findings and "E_MASK_SWAPPED" not in findings


def test_sidecars_of_a_system_are_no_frames(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255))
    for name in ("images", "masks"):
        (root / "haining" / name / "._000.png").write_bytes(b"\0\x05\x16\x07\0\2\0\0Mac OS X        ")
        (root / "haining" / name / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    assert len(open_cohort("haining", root).frames) == COUNT
    assert not check_cohort("haining", root).has_errors


def test_identical_frames_with_different_masks_are_told(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255), count=4)
    images, masks = root / "haining" / "images", root / "haining" / "masks"
    for copy, original in (("001", "000"), ("003", "002")):
        (images / f"{copy}.png").write_bytes((images / f"{original}.png").read_bytes())
    (masks / "003.png").write_bytes((masks / "002.png").read_bytes())
    (root / "haining" / "frames.csv").write_text("frame,split\n" + "".join(f"00{n},train\n" for n in range(4)))
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert findings["W_DUPLICATE_LABELS"].frames == ("000", "001")
    assert "different labels" in findings["W_DUPLICATE_LABELS"].values["000 = 001"]
    assert set(findings["N_DUPLICATE"].frames) == {"000", "001", "002", "003"}


def coloured(colour):
    return lambda m: png(np.ascontiguousarray(np.dstack([m * channel for channel in reversed(colour)])))


def test_masks_of_one_colour_are_read(tmp_path):
    root = write_cohort(tmp_path / "data", coloured((255, 0, 0)))
    frames = open_cohort("haining", root).frames
    assert np.array_equal(read_reference(frames[1], read_image(frames[1].image)), paint(1)[1] // 255)
    assert not check_cohort("haining", root).has_errors


@pytest.mark.parametrize("store", [coloured((0, 255, 0)), lambda m: png(m * 255)])
def test_masks_of_two_colours_are_classes(tmp_path, store):
    """One mask that shows an instrument alone is black and one colour, as a polyp's is."""
    root = write_cohort(tmp_path / "data", coloured((255, 0, 0)))
    image = cv2.imread(str(root / "haining" / "masks" / "002.png"))
    store(paint(2)[1] // 255)(root / "haining" / "masks" / "002")
    other = cv2.imread(str(root / "haining" / "masks" / "002.png"))
    cv2.imwrite(str(root / "haining" / "masks" / "002.png"), np.maximum(image, np.roll(other, 40, axis=1)))
    assert reads(open_cohort("haining", root).frames) == ["E_MASK_CLASS"] * COUNT
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert findings["E_MASK_CLASS"].frames == ("000", "001", "002")


def test_coloured_masks_beside_white_ones_are_refused(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255))
    coloured((255, 0, 0))(paint(1)[1] // 255)(root / "haining" / "masks" / "001")
    assert reads(open_cohort("haining", root).frames) == [None, "E_MASK_CLASS", None]
    assert {f.code: f for f in check_cohort("haining", root).findings}["E_MASK_CLASS"].frames == ("001",)


def test_where_the_manifest_says_so_every_colour_is_a_polyp(tmp_path):
    root = write_cohort(tmp_path / "data", coloured((255, 0, 0)), cohort="bkai-neopolyp")
    coloured((0, 255, 0))(paint(2)[1] // 255)(root / "bkai-neopolyp" / "masks" / "002")
    assert reads(open_cohort("bkai-neopolyp", root).frames) == [None] * COUNT
    assert "E_MASK_CLASS" not in {finding.code for finding in check_cohort("bkai-neopolyp", root).findings}


def test_an_ignored_region_is_read_by_the_same_decoder_and_checked(tmp_path):
    root = write_cohort(tmp_path / "data", lambda m: png(m * 255))
    ignore = root / "haining" / "ignore"
    ignore.mkdir()
    png(paint(0)[1].astype(np.uint16))(ignore / "000")
    png(paint(1)[1] // 255 * 2)(ignore / "001")
    png(np.zeros((9, 9), np.uint8))(ignore / "002")
    frames = open_cohort("haining", root).frames
    assert np.array_equal(read_ignored(frames[0], (72, 96)), paint(0)[1] > 0)
    findings = {finding.code: finding for finding in check_cohort("haining", root).findings}
    assert findings["E_MASK_CLASS"].frames == ("001",) and findings["E_IGNORE_SIZE"].frames == ("002",)
