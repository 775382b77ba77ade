"""Pixels of DICOM objects as 8-bit RGB.

Decoded are: uncompressed objects of every byte order, deflated ones, RLE (all by pydicom), JPEG baseline and 8-bit
extended, JPEG 2000 (by Pillow), JPEG lossless and JPEG-LS (by imagecodecs). Not: 12-bit JPEG, HTJ2K.

**Windowing rule** for grey values of more than 8 bits: modality LUT, then the object's own VOI LUT or first window;
without one, the range that its bits can hold, never the range that happens to occur: frames of one video must not
change their brightness with what they show. Colour of more than 8 bits loses its lowest bits.

**Colours of JPEG frames** that do not say themselves how they are coded: components named R, G, B are RGB; colours
stored at half size are YCbCr, for nobody halves red and blue; else the object's own word is followed. A JPEG with a
JFIF or Adobe marker says it, and is right whatever the object says.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from polypda.cohorts.stored_pixels import MOST_PIXELS
from polypda.errors import DataError
from polypda.importing.contract import DecodedImage, Pixels, Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


BY_IMAGECODECS = {
    "1.2.840.10008.1.2.4.57": "ljpeg_decode",
    "1.2.840.10008.1.2.4.70": "ljpeg_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",
}
COLOUR_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"


def read_frame(dataset: Dataset, index: int, where: str) -> DecodedImage:
    """Frame ``index`` (from 0) of an object that has pixels.

    Raises: DataError E_DICOM_COLOUR, E_DICOM_SYNTAX, E_DICOM_PIXELS, E_IMAGE_TOO_LARGE.
    """
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
    if photometric not in (*GREY, *COLOUR, PALETTE):
        what = f"its colours are given as '{photometric}', which cannot be converted here."
        raise DataError("E_DICOM_COLOUR", what, where=where, fix="export it as RGB or JPEG.")
    _refuse_large(int(dataset.get("Columns", 0) or 0), int(dataset.get("Rows", 0) or 0), where)
    stored, remarks = _stored(dataset, index, where)
    if photometric == PALETTE:
        from pydicom.pixels import apply_color_lut

        coloured = apply_color_lut(stored, dataset)
        return DecodedImage(_top_bits(coloured, 8 * coloured.dtype.itemsize))  # tables of 8 and of 16 bits are in use
    if photometric in GREY and stored.ndim == 2:
        grey, windowed = _windowed(stored, dataset)
        grey = 255 - grey if photometric == "MONOCHROME1" else grey
        return DecodedImage(np.repeat(grey[..., None], 3, axis=2), remarks=windowed)
    if stored.ndim != 3 or stored.shape[2] < 3:
        what = f"says {photometric}, but its pixels have the form {stored.shape}."
        raise DataError("E_DICOM_PIXELS", what, where=where, fix="export it again.")
    return DecodedImage(_top_bits(stored[..., :3], int(dataset.get("BitsStored", 8))), remarks=remarks)


def _refuse_large(width: int, height: int, where: str) -> None:
    if width * height > MOST_PIXELS:
        what = f"the header claims {width}×{height} pixels, more than {MOST_PIXELS // 1_000_000} million."
        raise DataError("E_IMAGE_TOO_LARGE", what, where=where, fix="no endoscope delivers this: check the object.")


def _stored(dataset: Dataset, index: int, where: str) -> tuple[NDArray[Any], tuple[Remark, ...]]:
    """The frame as stored, colour as RGB, and what was decided of its colours."""
    from pydicom.pixels import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # padding, missing offsets: decoded all the same, or an error
            if str(syntax) in BY_IMAGECODECS:
                return _by_imagecodecs(dataset, index, BY_IMAGECODECS[str(syntax)]), ()
            eight_bit_colour = dataset.get("SamplesPerPixel") == 3 and dataset.get("BitsStored", 8) == 8
            if str(syntax) in COLOUR_JPEG and eight_bit_colour:
                encoded = _encoded(dataset, index)
                _refuse_large(*JpegImageFile(io.BytesIO(encoded)).size, where)
                return decode_colour_jpeg(encoded, str(dataset.PhotometricInterpretation))
            return np.asarray(pixel_array(dataset, index=index)), ()
    except DataError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        what = f"'{syntax.name}' cannot be decoded here ({_first_line(error)})."
        raise DataError("E_DICOM_SYNTAX", what, where=where, fix="export it uncompressed or as JPEG.") from error
    except Exception as error:  # each decoder has errors of its own
        what = f"frame {index + 1} cannot be decoded: {type(error).__name__}, {_first_line(error)}."
        raise DataError("E_DICOM_PIXELS", what, where=where, fix="fetch it again, or leave it out.") from error


def _by_imagecodecs(dataset: Dataset, index: int, decoder: str) -> NDArray[Any]:
    import imagecodecs
    from pydicom.pixels import convert_color_space

    pixels = np.asarray(getattr(imagecodecs, decoder)(_encoded(dataset, index)))
    photometric = str(dataset.PhotometricInterpretation)
    ycbcr = pixels.ndim == 3 and photometric in ("YBR_FULL", "YBR_FULL_422")
    return convert_color_space(pixels, photometric, "RGB") if ycbcr else pixels


def _encoded(dataset: Dataset, index: int) -> bytes:
    from pydicom.encaps import get_frame

    count = int(dataset.get("NumberOfFrames", 1) or 1)
    return get_frame(dataset.PixelData, index, number_of_frames=count)


def _windowed(stored: NDArray[Any], dataset: Dataset) -> tuple[Pixels, tuple[Remark, ...]]:
    """Grey values as 0–255, and what was decided."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    bits = int(dataset.get("BitsStored", 8))
    if bits <= 8 and not dataset.get("PixelRepresentation", 0):
        return _top_bits(stored, bits), ()
    window = "WindowCenter" in dataset or "VOILUTSequence" in dataset
    values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
    lowest, highest = _range(dataset, bits)
    if window:
        values = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), np.float64)
        # pydicom maps a window onto the whole range of the output; a LUT has a range of its own
        if "VOILUTSequence" in dataset:
            lut_bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2]) or 16
            lowest, highest = 0.0, float(2**lut_bits - 1)
        what = "reduced to 8 bits by the object's own window."
    else:
        what = f"reduced from {bits} to 8 bits over the range that they can hold; it names no window."
    scaled = (values - lowest) / max(highest - lowest, 1.0) * 255
    code = "N_DICOM_WINDOW" if window else "W_DICOM_WINDOW"
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8), (Remark(code, what),)


def _range(dataset: Dataset, bits: int) -> tuple[float, float]:
    """Lowest and highest value that can occur, after the modality's rescaling."""
    signed = bool(dataset.get("PixelRepresentation", 0))
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    low, high = (end * slope + intercept for end in ends)
    return min(low, high), max(low, high)


def _top_bits(values: NDArray[Any], bits: int) -> Pixels:
    """The eight highest of ``bits``; fewer are stretched to 0–255."""
    if bits < 8:
        return (values.astype(np.uint32) * 255 // (2**bits - 1)).astype(np.uint8)
    return (values >> (bits - 8) if bits > 8 else values).astype(np.uint8)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0].strip().rstrip(".:")[:160]


def decode_colour_jpeg(data: bytes, photometric: str) -> tuple[Pixels, tuple[Remark, ...]]:
    """A three-channel 8-bit JPEG as RGB, uint8 H×W×3, and what was decided without being told.

    Raises: what Pillow raises.
    """
    header = JpegImageFile(io.BytesIO(data))
    remarks = []
    if not {"jfif", "adobe"} & header.info.keys():  # else it gives its colours itself
        halved = len({(across, down) for _, across, down, _ in header.layer}) > 1
        named_rgb = bytes(component for component, *_ in header.layer) == b"RGB"
        rgb = named_rgb or (photometric == "RGB" and not halved)
        if photometric == "RGB" and not rgb:
            what = "says RGB, but its JPEG halves two of the components: read as YCbCr."
            remarks.append(Remark("N_DICOM_COLOUR", what))
        elif photometric == "RGB" and not named_rgb:
            what = "its JPEG does not tell how colours are coded: read as RGB, as the object says. Look at the colours."
            remarks.append(Remark("W_DICOM_COLOUR", what))
        # Adobe's marker tells the decoder the colour transform: 0 none, 1 YCbCr
        body = b"Adobe" + (100).to_bytes(2, "big") + bytes(4) + bytes([0 if rgb else 1])
        data = data[:2] + b"\xff\xee" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
    return np.asarray(JpegImageFile(io.BytesIO(data)).convert("RGB")), tuple(remarks)
