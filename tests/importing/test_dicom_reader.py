"""DICOM objects made by script become frames; no identity of theirs comes into the cohort."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from importing.dicom_objects import (
    BORN,
    NAME,
    PATIENT,
    STUDY,
    STUDY_DATE,
    colour,
    compressed,
    grey,
    header,
    jpeg_video,
    save,
)
from importing.painted_sources import frame, lines, put, run_import
from PIL import Image

from polypda.cohorts.images import read_image
from polypda.cohorts.tables import read_frames_csv
from polypda.errors import UsageError
from polypda.importing.images.dicom_pixels import read_frame
from polypda.importing.readers import dicom as dicom_reader
from polypda.importing.readers.dicom import DicomReader

FRAME = frame(3)
GREY_8 = FRAME[..., 1]


def read(made: pydicom.FileDataset, index: int = 0) -> np.ndarray:
    data = BytesIO()
    made.save_as(data, enforce_file_format=True)
    data.seek(0)
    return read_frame(pydicom.dcmread(data), index, "x").pixels


def rgb_to_ybr(pixels: np.ndarray) -> np.ndarray:
    """BT.601 full range, as the standard (PS3.3 C.7.6.3.1.2) gives it."""
    r, g, b = (pixels[..., channel].astype(float) for channel in range(3))
    planes = (
        0.299 * r + 0.587 * g + 0.114 * b,
        -0.168736 * r - 0.331264 * g + 0.5 * b + 128,
        0.5 * r - 0.418688 * g - 0.081312 * b + 128,
    )
    return np.clip(np.rint(np.stack(planes, axis=2)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_colour_is_exact(planar: int) -> None:
    video = colour([FRAME, frame(4)], planar=planar)
    assert np.array_equal(read(video), FRAME)
    assert np.array_equal(read(video, 1), frame(4))


def test_other_colours_and_depths() -> None:
    assert np.abs(read(colour([rgb_to_ybr(FRAME)], "YBR_FULL")).astype(int) - FRAME).max() <= 2
    assert np.array_equal(read(colour([FRAME.astype(np.uint16) * 256 + 7])), FRAME)
    assert np.array_equal(read(grey(GREY_8))[..., 0], GREY_8)
    assert np.array_equal(read(grey(GREY_8, "MONOCHROME1"))[..., 2], 255 - GREY_8)


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_of_both_depths(bits: int) -> None:
    colours = np.random.default_rng(4).integers(0, 256, (256, 3)).astype(np.uint16)
    indices = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    made = grey(indices, "PALETTE COLOR")
    for channel, name in enumerate(("Red", "Green", "Blue")):
        table = colours[:, channel] * (257 if bits == 16 else 1)
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(made, f"{name}PaletteColorLookupTableData", table.astype("<u2" if bits == 16 else "u1").tobytes())
    assert np.array_equal(read(made), colours[indices])


def test_compressed_colour() -> None:
    jpeg = read(jpeg_video([FRAME]))
    assert np.abs(jpeg.astype(int) - FRAME).mean() < 3
    data = BytesIO()
    Image.fromarray(FRAME).save(data, "JPEG2000", irreversible=False)
    jpeg_2000 = compressed([data.getvalue()], FRAME.shape, pydicom.uid.JPEG2000Lossless, "YBR_RCT")
    assert np.array_equal(read(jpeg_2000), FRAME)
    jpeg_ls = compressed([imagecodecs.jpegls_encode(FRAME)], FRAME.shape, pydicom.uid.JPEGLSLossless, "RGB")
    assert np.array_equal(read(jpeg_ls), FRAME)
    lossless = compressed([imagecodecs.ljpeg_encode(GREY_8)], GREY_8.shape, pydicom.uid.JPEGLosslessSV1, "MONOCHROME2")
    assert np.array_equal(read(lossless)[..., 0], GREY_8)
    rle = colour([FRAME])
    rle.compress(pydicom.uid.RLELossless)
    assert np.array_equal(read(rle), FRAME)


def test_windows_of_deep_grey() -> None:
    """Expected: the standard's linear window (PS3.3 C.11.2.1.2), worked out by hand; else the range of the bits."""
    values = np.array([[0, 1000], [2000, 4095]], np.uint16)
    windowed = read(grey(values, stored_bits=12, WindowCenter=2000, WindowWidth=1001))
    assert windowed[..., 0].tolist() == [[0, 0], [128, 255]]  # 2000 lies half a step above the middle: 127.6
    assert read(grey(values, stored_bits=12))[..., 0].tolist() == [[0, 62], [125, 255]]
    rescaled = grey(values, stored_bits=12, RescaleSlope=2, RescaleIntercept=-100)
    assert read(rescaled)[..., 0].tolist() == [[0, 62], [125, 255]]


def test_videos_have_times_and_frames_have_groups(tmp_path: Path) -> None:
    source = tmp_path / "src"
    save(jpeg_video([frame(n) for n in range(3)], FrameTime=40), source / "IM0001")  # as on a CD: no suffix
    save(colour([FRAME, FRAME], FrameTimeVector=[0, 40, 60][:2]), source / "vector.dcm")
    save(colour([FRAME]), source / "one.dcm")
    save(colour([FRAME], PatientID="", PatientName="", PatientBirthDate="", StudyInstanceUID=""), source / "bare.dcm")
    result = run_import(source, tmp_path / "root")
    assert result.summary.format == "dicom"
    found = read_frames_csv(result.folder / "frames.csv")
    videos = {*(f"IM0001_00000{n}" for n in range(3)), "vector_000000", "vector_000001"}
    assert set(found) == {"bare", "one", *videos}
    assert [found[f"IM0001_00000{n}"].t_s for n in range(3)] == pytest.approx([0.0, 0.04, 0.08])
    assert found["vector_000001"].t_s == pytest.approx(0.04)
    assert found["one"].patient == found["IM0001_000000"].patient
    assert found["IM0001_000000"].sequence == found["IM0001_000002"].sequence
    assert len({found[name].sequence for name in ("one", "IM0001_000000", "vector_000000")}) == 3
    assert (found["bare"].patient, found["bare"].sequence) == (None, None)
    assert np.array_equal(read_image(result.folder / "images/one.png"), FRAME)


def test_nothing_of_the_header_comes_into_the_cohort(tmp_path: Path) -> None:
    source = tmp_path / "src"
    save(colour([FRAME]), source / "a.dcm")
    save(header(), source / "b.dcm")
    secrets = [text.encode() for text in (NAME, "SCHMIDT", PATIENT, BORN, STUDY_DATE, STUDY)]
    first = run_import(source, tmp_path / "one").folder
    again = run_import(source, tmp_path / "two").folder
    for path in [path for path in first.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        assert not any(secret in data or secret in str(path).encode() for secret in secrets)
    names = [read_frames_csv(folder / "frames.csv")["a"].patient for folder in (first, again)]
    assert names[0] != names[1]  # nobody can work them out from a list of patients
    raw = run_import(source, tmp_path / "three", options={"patients": "raw"}).folder
    assert read_frames_csv(raw / "frames.csv")["a"].patient == PATIENT


def test_what_cannot_be_taken_has_a_code_each(tmp_path: Path) -> None:
    source = tmp_path / "src"
    save(colour([FRAME]), source / "good.dcm")
    save(header(), source / "nothing.dcm")
    save(header("1.2.840.10008.1.3.10"), source / "DICOMDIR")
    segmentation = grey(GREY_8, sop_class="1.2.840.10008.5.1.4.1.1.66.4")
    save(segmentation, source / "seg.dcm")
    video = compressed([b"\0\0\1\xb3" + bytes(60)], FRAME.shape, "1.2.840.10008.1.2.4.102", "YBR_PARTIAL_420")
    save(video, source / "film.dcm")
    whole = save(colour([FRAME]), source / "cut.dcm").read_bytes()
    put(source / "cut.dcm", whole[:-3000])
    put(source / "text.dcm", b"no object at all, but a text")
    save(colour([FRAME], "CMYK"), source / "cmyk.dcm")
    odd = compressed([b"\xff\x4f\xff\x51" + bytes(80)], FRAME.shape, pydicom.uid.JPEG2000Lossless, "YBR_RCT")
    save(odd, source / "broken.dcm")
    result = run_import(source, tmp_path / "root")
    told = dict(lines(result))
    assert told.pop("N_DICOM_DIRECTORY") == ["DICOMDIR"]
    assert told.pop("E_DICOM_NO_PIXELS") == ["nothing.dcm"]
    assert told.pop("E_DICOM_SEGMENTATION") == ["seg.dcm"]
    assert told.pop("E_DICOM_FILM") == ["film.dcm"]
    assert told.pop("E_DICOM_COLOUR") == ["cmyk.dcm"]
    assert told.pop("E_DICOM_UNREADABLE") == ["text.dcm"]
    rest = {origin: code for code, origins in told.items() for origin in origins}
    assert set(rest) == {"cut.dcm", "broken.dcm"}
    assert rest["cut.dcm"] == "E_DICOM_PIXELS"
    assert rest["broken.dcm"] in ("E_DICOM_PIXELS", "E_DICOM_SYNTAX")
    assert list(read_frames_csv(result.folder / "frames.csv")) == ["good"]


def test_remarks_on_objects_that_are_taken(tmp_path: Path) -> None:
    source = tmp_path / "src"
    fields = {"BurnedInAnnotation": "YES", "Modality": "MR", "PixelAspectRatio": [15, 16]}
    save(colour([FRAME], **fields), source / "a.dcm")
    result = run_import(source, tmp_path / "root")
    assert {"W_DICOM_BURNED_IN", "W_DICOM_MODALITY", "N_DICOM_PIXEL_ASPECT"} <= set(lines(result))
    assert result.summary.everything_taken


MALFORMED = {
    "FrameTime": ("40.0", b"n/a "),
    "CineRate": ("25", b"2s"),
    "RecommendedDisplayFrameRate": ("2500", b"\xff\xfe\xff\xfe"),
    "FrameTimeVector": (["0", "400"], b"0\\nan "),
    "PixelAspectRatio": (["15", "16"], b"a\\b   "),
    "PatientID": ("MRN-0815", b"\xff\xfe\x1b(Z\0  "),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("field", MALFORMED)
def test_fields_that_hold_no_number_cost_no_frame(tmp_path: Path, field: str) -> None:
    value, odd = MALFORMED[field]
    made = colour([FRAME, FRAME[::-1]], **{field: value})
    whole = save(made, tmp_path / "src" / "odd.dcm").read_bytes()
    written = "\\".join(value).encode() if isinstance(value, list) else value.encode()
    written += b" " * (len(written) % 2)
    length = len(odd).to_bytes(2, "little")  # before the value; digits alone may stand in a UID as well
    assert whole.count(length + written) == 1 and len(odd) == len(written)
    put(tmp_path / "src" / "odd.dcm", whole.replace(length + written, length + odd))
    save(colour([FRAME]), tmp_path / "src" / "good.dcm")
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert lines(result) == {}
    times = [row.t_s for row in read_frames_csv(result.folder / "frames.csv").values()]
    assert times == [None] * 3


@pytest.mark.parametrize("part", ["_frame_times_s", "_patient_of", "_sequence_of"])
def test_a_header_that_fails_in_a_way_of_its_own_costs_its_object_alone(tmp_path, monkeypatch, part) -> None:
    whole = getattr(dicom_reader, part)

    def fail(dataset, *rest):
        if dataset.get("Modality") == "OT":
            raise AttributeError("what a library does with odd bytes")
        return whole(dataset, *rest)

    monkeypatch.setattr(dicom_reader, part, fail)
    save(colour([FRAME], Modality="OT"), tmp_path / "src" / "odd.dcm")
    save(colour([FRAME]), tmp_path / "src" / "good.dcm")
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert lines(result) == {"E_DICOM_UNREADABLE": ["odd.dcm"]} and result.summary.taken == 1


def test_options() -> None:
    for given in ({"patient": "raw"}, {"patients": "names"}):
        with pytest.raises(UsageError, match="E_OPTION"):
            DicomReader.with_options(given)


def bare(jpeg: bytes, names: bytes = b"") -> bytes:
    """A JPEG without the markers that tell its colours; names: its components are called so."""
    kept, index = bytearray(jpeg[:2]), 2
    while jpeg[index + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[index + 2 : index + 4], "big")
        segment = bytearray(jpeg[index : index + length])
        if names and segment[1] == 0xC0:
            segment[10:19:3] = names
        if segment[1] not in (0xE0, 0xEE):
            kept += segment
        index += length
    scan = bytearray(jpeg[index:])
    if names:
        scan[5:11:2] = names
    return bytes(kept + scan)


def jpeg_of(**options: object) -> bytes:
    data = BytesIO()
    Image.fromarray(FRAME).save(data, "JPEG", quality=95, **options)
    return data.getvalue()


RGB_JPEG = jpeg_of(keep_rgb=True)
UNMARKED = {
    "YCbCr, as said": (bare(jpeg_of(subsampling=1)), "YBR_FULL_422", set()),
    "YCbCr of full size, as said": (bare(jpeg_of(subsampling=0)), "YBR_FULL", set()),
    "halved colours that are called RGB": (bare(jpeg_of(subsampling=2)), "RGB", {"N_DICOM_COLOUR"}),
    "components R, G, B": (bare(RGB_JPEG), "YBR_FULL_422", set()),
    "RGB, as said": (bare(RGB_JPEG, b"\1\2\3"), "RGB", {"W_DICOM_COLOUR"}),
    "marked as RGB": (RGB_JPEG, "YBR_FULL_422", set()),
    "marked as YCbCr": (jpeg_of(subsampling=1), "RGB", set()),
}


@pytest.mark.parametrize("way", UNMARKED)
def test_jpegs_that_do_not_tell_their_colours(way: str) -> None:
    jpeg, photometric, codes = UNMARKED[way]
    made = compressed([jpeg], FRAME.shape, pydicom.uid.JPEGBaseline8Bit, photometric)
    image = read_frame(made, 0, "IM1")
    assert np.abs(image.pixels.astype(int) - FRAME).mean() < 6
    assert {remark.code for remark in image.remarks} == codes


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    save(colour([FRAME]), tmp_path / "src" / "a.dcm")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    put(tmp_path / "src" / "b.dcm", pointer.encode())
    assert lines(run_import(tmp_path / "src", tmp_path / "root", format="dicom"))["E_DICOM_LFS_POINTER"] == ["b.dcm"]
