"""Odd and damaged files of an otherwise sound cohort folder, by kind, each with what has to be said of it.

A case is a folder of four sound frames with their masks and one thing that is not as it should be. ``imported`` are the
codes of which one must be said when the folder is imported, ``checked`` those when it lies below a data root; where the
two doors know the same fact by one name, the codes are the same.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 96, 128
SOUND = ("s0", "s1", "s2", "s3")
Write = Callable[[Path], object]


@dataclass(frozen=True)
class OddFile:
    """write: changes a sound cohort folder (``images``, ``masks``) or, where ``archive`` names one, makes the bytes of
    an archive of it, which is imported alone."""

    kind: str
    name: str
    write: Write
    imported: frozenset[str]
    checked: frozenset[str]
    archive: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def odd_files() -> list[OddFile]:
    """Every case."""
    return [*_images(), *_masks(), *_tables(), *_archives()]


def frame(number: int = 9) -> np.ndarray:
    """A lit frame, RGB, fine and coarse enough to compress like a photograph."""
    chance = np.random.default_rng(number)
    coarse = cv2.resize(chance.uniform(70, 220, (6, 8, 3)).astype(np.float32), (WIDTH, HEIGHT), interpolation=2)
    return (coarse + chance.normal(0, 6, coarse.shape)).clip(30, 255).astype(np.uint8)


def mask() -> np.ndarray:
    """A 0/255 disc off the centre."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return ((x - 50) ** 2 + (y - 40) ** 2 < 15**2).astype(np.uint8) * 255


def write_sound(folder: Path) -> Path:
    """Four frames with their masks, and a frame ``odd`` with its."""
    for number, stem in enumerate((*SOUND, "odd")):
        put(folder / "images" / f"{stem}.png", encoded(frame(number)))
        put(folder / "masks" / f"{stem}.png", encoded(mask()))
    return folder


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(data, kind, **options)
    return data.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    data = io.BytesIO()
    tifffile.imwrite(data, pixels, **options)
    return data.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """By OpenCV: also 16 bits in colour (RGB in, as stored)."""
    return cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])[1].tobytes()


def image(data: bytes, suffix: str = ".png") -> Write:
    """The frame ``odd`` is of these bytes."""
    return _replacing("images", data, suffix)


def label(data: bytes, suffix: str = ".png") -> Write:
    """The mask of ``odd`` is of these bytes."""
    return _replacing("masks", data, suffix)


def _replacing(place: str, data: bytes, suffix: str) -> Write:
    def write(folder: Path) -> None:
        (folder / place / "odd.png").unlink()
        put(folder / place / f"odd{suffix}", data)

    return write


def _special(place: str, make: Callable[[Path], object]) -> Write:
    def write(folder: Path) -> None:
        path = folder / place / "odd.png"
        path.unlink()
        make(path)

    return write


def _case(kind: str, name: str, write: Write, *codes: str, checked: tuple[str, ...] = ()) -> OddFile:
    return OddFile(kind, name, write, frozenset(codes), frozenset(checked or codes))


FORMATS = (("JPEG", ".jpg"), ("PNG", ".png"), ("BMP", ".bmp"), ("TIFF", ".tif"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb_headers(width: int = 60_000, height: int = 60_000) -> dict[str, bytes]:
    """Suffix → a file whose header claims so many pixels and which holds almost nothing."""
    rows = zlib.compress(bytes(1 << 16))
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    side = struct.pack("<HH", min(width, 65_535), min(height, 65_535))
    jpeg = bytearray(encoded(frame(), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", min(height, 65_500), min(width, 65_500))
    bmp = bytearray(encoded(frame(), "BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    entries = ((256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1))
    entries += ((278, 4, height), (279, 4, width * height & 0xFFFFFFFF))
    ifd = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    tif = b"II*\0" + struct.pack("<IH", 8, len(entries)) + ifd + struct.pack("<I", 0)
    webp = bytearray(encoded(frame(), "WEBP", lossless=True))
    bits = int.from_bytes(webp[21:25], "little") & ~0xFFFFFFF
    webp[21:25] = (bits | 0x3FFF | 0x3FFF << 14).to_bytes(4, "little")
    return {
        ".png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", rows) + chunk(b"IEND", b""),
        ".jpg": bytes(jpeg),
        ".bmp": bytes(bmp),
        ".tif": tif,
        ".gif": b"GIF89a" + side + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + side + b"\0\x02\x02\x44\x01\0;",
        ".webp": bytes(webp),
        ".ppm": f"P6\n{width} {height}\n255\n".encode() + bytes(64),
    }


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(frame(number)) for number in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def half_jpeg(**options: object) -> bytes:
    """The first half of a JPEG with an end marker, so that its last bytes look sound."""
    pixels = frame()
    data = encoded(pixels[..., 0] if options.pop("grey", False) else pixels, "JPEG", **options)
    return data[: len(data) * 11 // 20] + b"\xff\xd9"


def _images() -> Iterator[OddFile]:
    pixels, wide = frame(), frame().astype(np.uint16) * 257
    for kind, suffix in FORMATS:
        whole = encoded(pixels, kind)
        yield _case("empty file", suffix, image(b"", suffix), "E_IMAGE_EMPTY_FILE")
        for part in (0.2, 0.5, 0.8, 0.97):
            cut = whole[: int(len(whole) * part)]
            yield _case("cut file", f"{suffix} {part}", image(cut, suffix), "E_IMAGE_TRUNCATED", "E_IMAGE_UNREADABLE")
        yield _case("beginning alone", suffix, image(whole[:12], suffix), "E_IMAGE_TRUNCATED", "E_IMAGE_UNREADABLE")
        zeroed = whole[: len(whole) // 3] + bytes(len(whole) // 3)
        if suffix in (".jpg", ".png"):
            codes = "E_IMAGE_TRUNCATED", "E_IMAGE_UNREADABLE"
            yield _case("second half zeroed", suffix, image(zeroed, suffix), *codes)
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}, {"quality": 98}, {"grey": True}):
        name = str(options) or "baseline"
        yield _case("half a JPEG with an end", name, image(half_jpeg(**options), ".jpg"), "E_IMAGE_TRUNCATED")
    whole = encoded(pixels)
    ended = whole[: len(whole) // 2] + chunk(b"IEND", b"")
    yield _case("half a PNG with an end", "IEND", image(ended), "E_IMAGE_TRUNCATED", "E_IMAGE_UNREADABLE")
    for at in (60, len(whole) // 2, len(whole) - 20):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        yield _case("flipped bit", f"PNG byte {at}", image(bytes(flipped)), "E_IMAGE_UNREADABLE", "E_IMAGE_TRUNCATED")
    for name, data in (
        ("text", b"not an image at all\n" * 20), ("html", b"<html><body>404 Not Found</body></html>"),
        ("zeros", bytes(5000)), ("ones", b"\xff" * 5000), ("noise", np.random.default_rng(1).bytes(4000)),
        ("pdf", b"%PDF-1.7\n" + bytes(300)), ("heic", b"\0\0\0\x18ftypheic" + bytes(400)),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("zip", b"PK\x03\x04" + bytes(200)),
        ("pickle", b"\x80\x04\x95" + bytes(40)), ("mp4", b"\0\0\0\x20ftypisom" + bytes(300)),
    ):  # fmt: skip
        for suffix in (".png", ".jpg"):
            yield _case("no image inside", f"{name}{suffix}", image(data, suffix), "E_IMAGE_UNREADABLE")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    yield _case("LFS pointer", "png", image(pointer), "E_IMAGE_LFS_POINTER")
    for kind, suffix in (("GIF", ".gif"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif")):
        yield _case("animated", kind, image(animated(kind), suffix), "E_IMAGE_ANIMATED")
    yield _case("animated", "GIF called png", image(animated("GIF")), "E_IMAGE_ANIMATED")
    dark = (frame().astype(np.uint16) * 16)[..., 0]
    yield _case("12 bits in 16", "grey PNG", image(png(dark)), "E_IMAGE_DEPTH")
    yield _case("12 bits in 16", "colour PNG", image(png(frame().astype(np.uint16) * 16)), "E_IMAGE_DEPTH")
    yield _case("12 bits in 16", "grey TIFF", image(tiff(dark), ".tif"), "E_IMAGE_DEPTH")
    colour = tiff(frame().astype(np.uint16) * 16, photometric="rgb")
    yield _case("12 bits in 16", "colour TIFF", image(colour, ".tif"), "E_IMAGE_DEPTH")
    yield _case("10 bits in 16", "colour PNG", image(png(frame().astype(np.uint16) * 4)), "E_IMAGE_DEPTH")
    yield _case("16 bits", "colour PNG", image(png(wide)), "N_IMAGE_16_BIT")
    yield _case("16 bits", "grey PNG", image(png(wide[..., 0])), "N_IMAGE_16_BIT")
    yield _case("16 bits", "colour TIFF", image(tiff(wide, photometric="rgb"), ".tif"), "N_IMAGE_16_BIT")
    for dtype in (np.uint32, np.int16, np.int32):
        deep = (frame()[..., 0].astype(np.int64) * 90).astype(dtype)
        yield _case("odd depth", np.dtype(dtype).name, image(tiff(deep), ".tif"), "E_IMAGE_DEPTH")
    real = (frame() / 255).astype(np.float32)
    yield _case("floating point", "0 to 1", image(tiff(real, photometric="rgb"), ".tif"), "E_IMAGE_FLOAT")
    yield _case("floating point", "grey", image(tiff(real[..., 0]), ".tif"), "E_IMAGE_FLOAT")
    real[3, 4] = np.nan
    yield _case("not a number", "colour", image(tiff(real, photometric="rgb"), ".tif"), "E_IMAGE_NAN")
    real[3, 4] = np.inf
    yield _case("not a number", "infinite", image(tiff(real, photometric="rgb"), ".tif"), "E_IMAGE_NAN")
    cmyk = Image.fromarray(pixels).convert("CMYK")
    yield _case("CMYK", "JPEG", image(encoded(cmyk, "JPEG"), ".jpg"), "W_IMAGE_CMYK")
    yield _case("CMYK", "TIFF", image(encoded(cmyk, "TIFF"), ".tif"), "W_IMAGE_CMYK")
    palette = Image.fromarray(pixels).quantize(200)
    yield _case("palette", "PNG", image(encoded(palette)), "N_IMAGE_PALETTE")
    yield _case("palette", "GIF called png", image(encoded(palette, "GIF")), "N_IMAGE_PALETTE")
    yield _case("palette", "BMP", image(encoded(palette, "BMP"), ".bmp"), "N_IMAGE_PALETTE")
    clear = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    yield _case("alpha", "that hides nothing", image(encoded(clear)), "N_IMAGE_ALPHA")
    clear[: HEIGHT // 2, :, 3] = 0
    yield _case("transparent", "half", image(encoded(clear)), "W_IMAGE_ALPHA")
    clear[:, :, 3] = 90
    yield _case("transparent", "everywhere a little", image(encoded(clear)), "W_IMAGE_ALPHA")
    for height, width in ((1, 1), (1, 128), (96, 1), (3, 3), (7, 7)):
        small = np.ascontiguousarray(frame()[:height, :width])
        for kind, suffix in (("PNG", ".png"), ("JPEG", ".jpg")):
            name = f"{width}×{height} {kind}"
            yield _case("tiny", name, image(encoded(small, kind), suffix), "E_IMAGE_SMALL")
    for kind, suffix in (("JPEG", ".png"), ("PNG", ".jpg"), ("BMP", ".png"), ("TIFF", ".jpg"), ("WEBP", ".png")):
        data = encoded(pixels, kind)
        yield _case("wrong extension", f"{kind} called {suffix}", image(data, suffix), "N_IMAGE_SUFFIX")
    for suffix, data in bomb_headers().items():
        yield _case("header of a bomb", suffix, image(data, suffix), "E_IMAGE_TOO_LARGE")
    yield _case("header of a bomb", "9000×9000 PNG", image(bomb_headers(9000, 9000)[".png"]), "E_IMAGE_TOO_LARGE")
    yield _case("no pixel", "PNG of width 0", image(bomb_headers(0, 90)[".png"]), "E_IMAGE_UNREADABLE")
    yield _case("no pixel", "BMP of height 0", image(bomb_headers(90, 0)[".bmp"], ".bmp"), "E_IMAGE_UNREADABLE")
    yield _case("drawing for a frame", "black and white", image(encoded(mask())), "E_IMAGE_DRAWING")
    flat = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    flat[10:40, 20:70], flat[50:80, 10:60] = (200, 30, 30), (30, 200, 30)
    yield _case("drawing for a frame", "three colours", image(encoded(flat)), "E_IMAGE_DRAWING")
    for name, value in (("black", 0), ("white", 255), ("grey", 128)):
        blank = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
        yield _case("blank frame", name, image(encoded(blank)), "W_IMAGE_BLANK")
    yield _case("pipe", "image", _special("images", os.mkfifo), "E_FILE_SPECIAL")
    loop = _special("images", lambda path: path.symlink_to(path.name))
    yield _case("link in a circle", "image", loop, "E_LINK_BROKEN")
    two = _special("images", lambda path: (path.symlink_to("other.png"), (path.parent / "other.png").symlink_to(path)))
    yield _case("link in a circle", "two images", two, "E_LINK_BROKEN")
    nowhere = _special("images", lambda path: path.symlink_to("/nowhere/x.png"))
    yield _case(
        "link that leads nowhere", "image", nowhere, "E_LINK_BROKEN", "E_LINK_OUTSIDE", checked=("E_LINK_BROKEN",)
    )
    for turn in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = turn
        data = encoded(Image.fromarray(pixels), "JPEG", exif=exif)
        codes = "N_IMAGE_ORIENTATION", "E_MASK_SIZE"
        yield _case("EXIF orientation", str(turn), image(data, ".jpg"), *codes, checked=("W_ORIENTATION",))
    precise = bytearray(encoded(pixels, "JPEG"))
    precise[precise.index(b"\xff\xc0") + 4] = 12
    yield _case("JPEG that is not read", "12 bits", image(bytes(precise), ".jpg"), "E_IMAGE_UNREADABLE")
    lossless = bytearray(encoded(pixels, "JPEG"))
    lossless[lossless.index(b"\xff\xc0") + 1] = 0xC3
    yield _case("JPEG that is not read", "lossless", image(bytes(lossless), ".jpg"), "E_IMAGE_UNREADABLE")


def _masks() -> Iterator[OddFile]:
    drawn = mask()
    unreadable = "E_MASK_TRUNCATED", "E_MASK_UNREADABLE"
    for kind, suffix in FORMATS:
        whole = encoded(drawn, kind)
        yield _case("empty mask file", suffix, label(b"", suffix), "E_MASK_EMPTY_FILE")
        for part in (0.4, 0.8):
            cut = whole[: int(len(whole) * part)]
            yield _case("cut mask", f"{suffix} {part}", label(cut, suffix), *unreadable)
    end = encoded(drawn, "JPEG", quality=98)
    end = end[: len(end) * 11 // 20] + b"\xff\xd9"
    yield _case("half a JPEG mask with an end", "baseline", label(end, ".jpg"), "E_MASK_TRUNCATED")
    yield _case("no mask inside", "text", label(b"masks are elsewhere"), "E_MASK_UNREADABLE")
    yield _case("inverted mask", "PNG", label(encoded(255 - drawn)), "W_MASK_INVERTED")
    yield _case("inverted mask", "JPEG", label(encoded(255 - drawn, "JPEG"), ".jpg"), "W_MASK_INVERTED")
    yield _case("mask of the whole frame", "255", label(encoded(np.full_like(drawn, 255))), "W_MASK_FULL")
    red_green = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red_green[10:40, 20:60, 0], red_green[50:90, 70:120, 1] = 255, 255
    yield _case("red and green", "in one mask", label(encoded(red_green)), "E_MASK_CLASS")
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[10:40, 20:60, 0] = 255
    yield _case("red and green", "red beside white", label(encoded(red)), "E_MASK_CLASS")
    classes = (drawn // 255) * 2
    yield _case("classes", "value 2", label(encoded(classes)), "E_MASK_CLASS")
    classes = drawn.copy()
    classes[60:90, 60:100] = 120
    yield _case("classes", "grey region beside white", label(encoded(classes)), "E_MASK_CLASS")
    for suffix, kind in ((".bmp", "BMP"), (".jpg", "JPEG"), (".tif", "TIFF"), (".PNG", "PNG")):
        data = encoded(np.ascontiguousarray(drawn[::-1]), kind)
        second = _adding(f"masks/odd{suffix}", data)
        yield _case("second mask of a stem", suffix, second, "E_FRAME_TWICE")
    for name, size in (
        ("turned", (WIDTH, HEIGHT)),
        ("one row less", (HEIGHT - 1, WIDTH)),
        ("half", (48, 64)),
        ("dot", (1, 1)),
    ):
        other = cv2.resize(drawn, size[::-1], interpolation=cv2.INTER_NEAREST)
        yield _case("mask of another size", name, label(encoded(other)), "E_MASK_SIZE")
    ramp = np.broadcast_to(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, WIDTH))
    yield _case("grey map", "ramp", label(encoded(np.ascontiguousarray(ramp))), "E_MASK_NOT_BINARY", "E_MASK_CLASS")
    yield _case("photograph for a mask", "RGB", label(encoded(frame(3))), "E_MASK_NOT_BINARY", "E_MASK_CLASS")
    real = ramp.astype(np.float32) / 255
    yield _case("mask in floating point", "map", label(tiff(real), ".tif"), "E_MASK_FLOAT")
    real = real.copy()
    real[0, 0] = np.nan
    yield _case("mask in floating point", "NaN", label(tiff(real), ".tif"), "E_MASK_NAN")
    for kind, suffix in (("GIF", ".gif"), ("TIFF", ".tif")):
        pages = [Image.fromarray(np.roll(drawn, 9 * n, axis=1)) for n in range(3)]
        data = encoded(pages[0], kind, save_all=True, append_images=pages[1:])
        yield _case("mask of several images", kind, label(data, suffix), "E_MASK_ANIMATED")
    for suffix in (".png", ".jpg", ".tif", ".bmp"):
        data = bomb_headers()[suffix]
        yield _case("mask with a bomb's header", suffix, label(data, suffix), "E_MASK_TOO_LARGE")
    alpha = np.dstack([drawn * 0, drawn * 0, drawn * 0, drawn])
    yield _case("mask in transparency", "black", label(encoded(alpha)), "E_MASK_ALPHA")
    yield _case("another scale", "0 and 1", label(encoded(drawn // 255)), "E_MASK_SCALE")
    orphan = _adding("masks/nobody.png", encoded(drawn))
    yield _case("mask of no image", "PNG", orphan, "E_MASK_ORPHAN", checked=("W_MASK_ORPHAN",))
    missing = _special("masks", lambda path: None)
    yield _case("no mask", "gone", missing, "W_MASK_MISSING", checked=("E_MASK_MISSING",))
    yield _case("pipe", "mask", _special("masks", os.mkfifo), "E_FILE_SPECIAL")
    loop = _special("masks", lambda path: path.symlink_to(path.name))
    yield _case("link in a circle", "mask", loop, "E_LINK_BROKEN")


def _adding(path: str, data: bytes) -> Write:
    return lambda folder: put(folder / path, data)


def _tables() -> Iterator[OddFile]:
    names = (*SOUND, "odd")

    def table(text: str | bytes, *checked: str, said: tuple[str, ...] = ("E_TABLE", "E_TABLE_ROW")) -> tuple:
        """What is written, and the codes of an import and of a check."""
        data = text if isinstance(text, bytes) else text.encode()
        return _adding("frames.csv", data), said, checked

    good = "frame,patient\n" + "".join(f"{name},P{number}\n" for number, name in enumerate(names))
    field, row = "E_FRAMES_CSV", "E_FRAMES_CSV_ROW"
    long = '"' + "P\n" * 90_000 + '"'
    split, times = good.replace("patient", "split"), good.replace("patient", "t_s")
    state = good.replace("patient", "label_state")
    for kind, name, (write, said, checked) in (
        ("unclosed quote", "in the middle", table(good.replace("P2", '"P2'), field)),
        ("unclosed quote", "in the last row", table(good.replace("P4", '"P4'), field)),
        ("quote within", "a field", table(good.replace("P2", '"P"2'), field)),
        ("huge field", "200 kB", table(good.replace("P2", "P" * 200_000), field, row)),
        ("huge field", "quoted", table(good.replace("P2", long), field, row)),
        ("binary table", "zero bytes", table(good.encode() + b"\0\0\0,\0\n", row, said=("E_TABLE_NO_FRAME",))),
        ("row twice", "two patients", table(good + "odd,P9\n", row, said=("E_TABLE_TWICE",))),
        ("impossible value", "split", table(split.replace("P2", "half"), row)),
        ("impossible value", "time", table(times.replace("P", "1e999"), row)),
        ("impossible value", "label state", table(state.replace("P2", "perhaps"), row)),
    ):
        yield OddFile(kind, name, write, frozenset(said), frozenset(checked))
    for name, corners in (
        ("1e308", "0,0,1e308,1e308"), ("infinite", "0,0,inf,20"), ("not a number", "nan,0,20,20"),
        ("reversed", "40,40,10,10"), ("negative", "-40,-40,-10,-10"), ("words", "a,b,c,d"), ("2e9", "5,5,2000000000,9"),
    ):  # fmt: skip
        write = _boxed(f"frame,x0,y0,x1,y1\nodd,{corners}\n")
        said = frozenset({"E_TABLE_ROW", "E_BOX_WRONG", "E_BOX_OUTSIDE"})
        yield OddFile("impossible box", name, write, said, frozenset({"E_BOXES_CSV_ROW"}))


def _boxed(text: str) -> Write:
    def write(folder: Path) -> None:
        (folder / "masks" / "odd.png").unlink()
        (folder / "boxes.csv").write_text(text, encoding="utf-8")

    return write


def _tar(folder: Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.add(path, path.relative_to(folder).as_posix())
    return data.getvalue()


def _headers(data: bytes) -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.offset for member in archive]


def _tar_damages() -> dict[str, Callable[[bytes], bytes]]:
    def zeroed(data: bytes, size: int) -> bytes:
        at = _headers(data)[4]
        return data[:at] + bytes(size) + data[at + size :]

    def flipped(data: bytes) -> bytes:
        at = _headers(data)[5] + 150  # in the checksum
        return data[:at] + b"7" + data[at + 1 :]

    return {
        "cut at a member": lambda data: data[: _headers(data)[5]],
        "cut in a header": lambda data: data[: _headers(data)[5] + 200],
        "cut in a member": lambda data: data[: _headers(data)[5] + 1024],
        "without its end": lambda data: data.rstrip(b"\0") + bytes(-len(data.rstrip(b"\0")) % 512),
        "zeroed header": lambda data: zeroed(data, 512),
        "two zeroed blocks": lambda data: zeroed(data, 1024),
        "wrong checksum": flipped,
        "noise behind its end": lambda data: data + np.random.default_rng(2).bytes(2048),
        "name not a name": lambda data: data[: _headers(data)[3]] + b"\xff" * 512 + data[_headers(data)[3] + 512 :],
    }


def _archives() -> Iterator[OddFile]:
    broken = frozenset({"E_ARCHIVE_BROKEN"})
    for name, damage in _tar_damages().items():

        def plain(folder: Path, damage: Callable[[bytes], bytes] = damage) -> bytes:
            return damage(_tar(folder))

        def packed(folder: Path, damage: Callable[[bytes], bytes] = damage) -> bytes:
            return gzip.compress(damage(_tar(folder)))

        yield OddFile("damaged tar", name, plain, broken, broken, "ward.tar")
        yield OddFile("damaged tgz", name, packed, broken, broken, "ward.tgz")
    for part in (0.3, 0.9, 0.999):

        def cut(folder: Path, part: float = part) -> bytes:
            data = gzip.compress(_tar(folder))
            return data[: int(len(data) * part)]

        yield OddFile("cut tgz", str(part), cut, broken, broken, "ward.tgz")
        yield OddFile("cut zip", str(part), lambda folder, part=part: _zip(folder)[: int(len(_zip(folder)) * part)],
                      broken, broken, "ward.zip")  # fmt: skip

    def spoilt(folder: Path) -> bytes:
        data = bytearray(_zip(folder))
        data[400] ^= 0xFF
        return bytes(data)

    yield OddFile("damaged zip", "an entry", spoilt, frozenset({"E_ARCHIVE_ENTRY"}), broken, "ward.zip")


def _zip(folder: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder).as_posix())
    return data.getvalue()
