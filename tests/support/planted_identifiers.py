"""Plants identifiers into every place of a file where they hide, and looks for them in every byte of a folder."""

import base64
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

NAME, FIRST_NAME, BIRTH, BIRTH_ISO, NUMBER = "Musterfrau", "Xaverine", "19610312", "1961-03-12", "MRN7730951"
PLANTS = (NAME, FIRST_NAME, BIRTH, BIRTH_ISO, NUMBER)
WHOLE = f"{NAME}^{FIRST_NAME} {BIRTH} {BIRTH_ISO} {NUMBER}"
LONG_AGO_S = 1_552_385_472
"""12 March 2019: when the planted files were last written."""


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _exif(thumbnail: bytes) -> bytes:
    """An EXIF block with names, dates, place, maker's note and a thumbnail that has a comment of its own."""
    tags = Image.Exif()
    tags[0x010E] = tags[0x013B] = tags[0x8298] = WHOLE  # description, artist, copyright
    tags[0x9C9B] = WHOLE.encode("utf-16-le")  # XPTitle
    inner = tags.get_ifd(0x8769)
    inner[0x9003] = inner[0x9004] = BIRTH_ISO.replace("-", ":") + " 10:11:12"
    inner[0x927C] = b"MAKER " + WHOLE.encode()
    inner[0x9286] = b"UNICODE\0" + WHOLE.encode("utf-16-le")
    inner[0xA420] = NUMBER
    index = tags.get_ifd(0x8825)
    index[0x0007] = (10.0, 11.0, 12.0)
    index[0x001D] = BIRTH_ISO
    index[0x001B] = WHOLE.encode()
    return tags.tobytes() + thumbnail


def _thumbnail(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels[::8, ::8]).save(data, "JPEG", comment=WHOLE)
    return data.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG with EXIF, thumbnail, XMP, IPTC, comment, unknown application data, and bytes after its end."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=92, subsampling=0)
    plain = data.getvalue()
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><dc:creator>{WHOLE}</dc:creator></x:xmpmeta>".encode()
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(WHOLE) + 5)
    iptc += struct.pack(">BBBH", 0x1C, 2, 0x50, len(WHOLE)) + WHOLE.encode()
    segments = _segment(0xE1, _exif(_thumbnail(pixels))) + _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    segments += _segment(0xED, iptc) + _segment(0xFE, WHOLE.encode()) + _segment(0xEB, b"HOSPITAL\0" + WHOLE.encode())
    return plain[:2] + segments + plain[2:] + WHOLE.encode("utf-16-be")


def png(pixels: np.ndarray) -> bytes:
    """A PNG with tEXt, zTXt, iTXt, eXIf, tIME and a private chunk, and bytes after its end."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", WHOLE)
    info.add_text("Comment", WHOLE * 20, zip=True)
    info.add_itxt("Title", WHOLE, "de", WHOLE, zip=True)
    info.add(b"tIME", struct.pack(">HBBBBB", 1961, 3, 12, 10, 11, 12))
    info.add(b"prVt", WHOLE.encode("latin-1"), after_idat=True)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", pnginfo=info, exif=_exif(b""))
    return data.getvalue() + WHOLE.encode()


def tiff(pixels: np.ndarray) -> bytes:
    """A TIFF with description, artist, date, XMP and a private tag."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for number in (270, 271, 272, 305, 315, 316, 33432):
        tags[number] = WHOLE
    tags[306] = BIRTH_ISO.replace("-", ":") + " 10:11:12"
    tags[700] = f"<xmp>{WHOLE}</xmp>".encode()
    tags.tagtype[700] = 1
    tags[65000] = WHOLE
    tags.tagtype[65000] = 2
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "TIFF", tiffinfo=tags)
    return data.getvalue() + WHOLE.encode()


def zipped(files: dict[str, bytes], path: Path) -> Path:
    """A zip whose entries have comments and extra fields, and which has a comment itself."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (2019, 3, 12, 10, 11, 12))
            entry.comment = WHOLE.encode()
            entry.extra = struct.pack("<HH", 0xCAFE, len(WHOLE)) + WHOLE.encode()
            archive.writestr(entry, data)
        archive.comment = WHOLE.encode()
    return path


def annotation_texts() -> dict[str, str]:
    """Files that lie about beside frames: exports, tables, letters."""
    return {
        f"export-{NAME}.json": json.dumps({"annotator": WHOLE, "task": WHOLE, "path": f"D:\\{NAME}\\{NUMBER}"}),
        f"{NUMBER}.xml": f"<annotation><owner>{WHOLE}</owner><folder>{NAME}</folder></annotation>",
        "letter.txt": f"Dear Mrs {WHOLE}",
        f"report.{NAME}": WHOLE,
    }


def found_in(folder: Path) -> dict[str, set[str]]:
    """Plant → the files of a folder (by their path in it) whose name or any byte, packed or not, holds it."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        texts = [relative.encode()]
        if path.is_file():
            data = path.read_bytes()
            texts += [data, *_unpacked(data)]
        joined = b"\n".join(texts)
        lower = joined.lower()
        for plant in PLANTS:
            if any(form in lower for form in _forms(plant)) or any(form in joined for form in _in_base64(plant)):
                found.setdefault(plant, set()).add(relative)
    return found


def _forms(plant: str) -> list[bytes]:
    """A plant in small letters, as the usual encodings write it."""
    forms = [plant.lower().encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "utf-32-le")]
    forms.append(plant.encode().hex().encode())
    return [*forms, plant.replace("-", ":").encode()] if plant == BIRTH_ISO else forms


def _in_base64(plant: str) -> list[bytes]:
    """What of a plant is the same in base64 whatever stands around it, at each of the three shifts."""
    forms = []
    for shift in range(3):
        letters = base64.b64encode(b"\0" * shift + plant.encode())
        sure = letters[-(-8 * shift // 6) : 8 * (shift + len(plant)) // 6]
        forms.append(sure)
    return forms


def _unpacked(data: bytes) -> list[bytes]:
    """What is compressed in a PNG (text, pixels), and in a zip."""
    texts = []
    if data.startswith(b"\x89PNG"):
        index, pixels = 8, b""
        while index + 12 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, index)
            content = data[index + 8 : index + 8 + length]
            if kind == b"IDAT":
                pixels += content
            elif b"\0" in content:
                texts += _inflated(content)
            index += 12 + length
        texts.append(zlib.decompress(pixels))
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            texts += [archive.read(name) for name in archive.namelist()]
    return texts


def _inflated(content: bytes) -> list[bytes]:
    texts = []
    for start in range(len(content) - 2):
        if content[start] == 0x78:
            try:
                texts.append(zlib.decompressobj().decompress(content[start:]))
            except zlib.error:
                continue
    return texts


def dicom(pixels: np.ndarray, number: int) -> bytes:
    """An endoscopic image with a patient in every module, a private tag and an overlay."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientName, made.PatientID, made.PatientBirthDate = f"{NAME}^{FIRST_NAME}", NUMBER, BIRTH
    made.StudyInstanceUID, made.StudyDate, made.StudyDescription = "1.2.3.4", BIRTH, WHOLE
    made.ReferringPhysicianName = made.OperatorsName = NAME
    made.InstitutionName = made.PatientComments = WHOLE
    made.InstanceNumber, made.Modality = number, "ES"
    made.private_block(0x0009, NAME, create=True).add_new(1, "LO", WHOLE[:60])
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    data = io.BytesIO()
    made.save_as(data, enforce_file_format=True)
    return data.getvalue()


def video(frames: list[np.ndarray], path: Path) -> Path:
    """An MP4 with names in its metadata and in its stream's."""
    import av

    with av.open(str(path), "w") as container:
        container.metadata.update({"title": WHOLE, "artist": NAME, "comment": NUMBER, "date": BIRTH_ISO})
        stream = container.add_stream("libx264", rate=5, options={"crf": "8", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.metadata["title"] = WHOLE
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path
