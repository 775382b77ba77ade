"""Headers that claim more than 64 million pixels: refused before anything is decoded, wherever a file can come from."""

import io
import resource
import time
import zipfile

import numpy as np
import pytest
from importing.dicom_objects import colour, compressed
from pydicom.uid import JPEGBaseline8Bit
from scipy.io import savemat
from support.odd_files import bomb_headers, encoded, frame, put, tiff

from polypda.cohorts.images import decode_image, read_image, read_mask
from polypda.cohorts.layouts import files_by_frame
from polypda.errors import DataError
from polypda.evaluation.scoring.predictions import PredictionFolder
from polypda.importing.images.decoded_image import read_image as imported_image
from polypda.importing.images.dicom_pixels import read_frame
from polypda.importing.images.masks import read_mask_file
from polypda.importing.source_tree import FolderTree, open_source
from polypda.prediction.inputs import find_inputs

MOST_MB, LONGEST_S = 200, 1
SIZES = ((60_000, 60_000), (9_000, 9_000), (16_000, 16_000))


def largest_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture
def refused():
    """Call something that must refuse cheaply; returns the code."""

    def call(what, *args, **options):
        what_for = largest_mb(), time.process_time()
        with pytest.raises(DataError) as caught:
            what(*args, **options)
        assert largest_mb() - what_for[0] < MOST_MB
        assert time.process_time() - what_for[1] < LONGEST_S
        return caught.value.code

    return call


def npy(shape: str, descr: str = "'<f8'", version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("suffix", bomb_headers())
def test_images_and_masks(tmp_path, refused, suffix, size):
    path = tmp_path / f"a{suffix}"
    put(path, bomb_headers(*size)[suffix])
    tree = FolderTree(tmp_path)
    assert refused(read_image, path) == refused(imported_image, tree, path.name) == "E_IMAGE_TOO_LARGE"
    assert refused(read_mask, path) == refused(read_mask_file, tree, path.name, (90, 90)) == "E_MASK_TOO_LARGE"
    inputs, _ = find_inputs([str(path)], None, tmp_path / "unpacked", tmp_path / "out")
    (one,) = inputs[0].frames()
    assert refused(one.read) == "E_IMAGE_TOO_LARGE"


def test_a_member_of_an_archive(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("bomb.png", bomb_headers()[".png"])
    tree = open_source(tmp_path / "a.zip", tmp_path / "unpacked")
    assert refused(imported_image, tree, "bomb.png") == "E_IMAGE_TOO_LARGE"


def test_a_tiff_of_many_samples_or_of_a_huge_tile(refused):
    whole = bytearray(tiff(frame(), photometric="rgb"))
    count = whole.index((277).to_bytes(2, "little"))
    whole[count + 8 : count + 10] = (60_000).to_bytes(2, "little")
    assert refused(decode_image, bytes(whole), "a.tif") in ("E_IMAGE_TOO_LARGE", "E_IMAGE_UNREADABLE")
    tiled = bytearray(tiff(np.zeros((64, 64), np.uint8), tile=(32, 32), compression="zlib"))
    for tag in (322, 323):
        at = tiled.index(tag.to_bytes(2, "little"))
        tiled[at + 2 : at + 12] = (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + (60_000).to_bytes(4, "little")
    assert refused(decode_image, bytes(tiled), "a.tif") == "E_IMAGE_TOO_LARGE"


ARRAYS = {
    "claims 80 GB": (npy("(100000, 100000)"), "TOO_LARGE"),
    "claims more than it holds": (npy("(900, 900)"), "UNREADABLE"),
    "negative": (npy("(-1, 9)"), "UNREADABLE"),
    "many sides": (npy("(" + "2, " * 40 + ")"), "TOO_LARGE"),
    "objects": (npy("(3, 3)", "'|O'") + b"\x80\x04cos\nsystem\nX\x04\0\0\0exit\x85R.", "UNREADABLE"),
    "code for a header": (npy("__import__('os').abort()"), "UNREADABLE"),
    "second version": (npy("(100000, 100000)", version=2), "TOO_LARGE"),
    "no header": (b"\x93NUMPY\x01\0\xff\xff", "UNREADABLE"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_numpy_files(tmp_path, refused, kind):
    data, end = ARRAYS[kind]
    put(tmp_path / "a.npy", data)
    assert refused(read_mask, tmp_path / "a.npy") == f"E_MASK_{end}"
    assert refused(PredictionFolder.open, "maps", tmp_path) == f"E_PREDICTION_{end}"


def test_a_packed_matlab_file(tmp_path, refused):
    data = io.BytesIO()
    savemat(data, {"mask": np.zeros((9_000, 9_000), np.uint8)}, do_compression=True)
    assert len(data.getvalue()) < 200_000
    put(tmp_path / "a.mat", data.getvalue())
    assert refused(read_mask, tmp_path / "a.mat") == "E_MASK_TOO_LARGE"


def test_dicom_objects(refused):
    made = colour([frame()])
    made.Rows = made.Columns = 60_000
    assert refused(read_frame, made, 0, "a.dcm") == "E_IMAGE_TOO_LARGE"
    lying = compressed([bomb_headers()[".jpg"]], (96, 128, 3), JPEGBaseline8Bit, "YBR_FULL_422")
    assert refused(read_frame, lying, 0, "a.dcm") in ("E_IMAGE_TOO_LARGE", "E_DICOM_PIXELS")


def test_files_that_would_fill_the_memory(tmp_path, refused):
    put(tmp_path / "images" / "a.png", encoded(frame()))
    with (tmp_path / "images" / "b.png").open("wb") as file:
        file.truncate(5 << 30)  # holds nothing: a hole
    assert refused(files_by_frame, tmp_path, ["images/*"], "images/(?P<frame>.*)", "image") == "E_FILE_TOO_LARGE"
    assert refused(imported_image, FolderTree(tmp_path), "images/b.png") == "E_FILE_TOO_LARGE"
