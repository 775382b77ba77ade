"""Archives as sources: what is unpacked, what is refused, and that nothing ever lands outside."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing.painted_sources import encoded, frame, lines, mask, run_import, snapshot, write_pairs

from polypda.errors import DataError
from polypda.importing.archives import Limits
from polypda.importing.source_tree import open_archive

SMALL = Limits(entries=50, large_entry_bytes=5_000, entry_ratio=20, large_total_bytes=60_000, total_ratio=10)


def zipped(path, entries, method=zipfile.ZIP_DEFLATED):
    """entries: (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def tarred(path, entries, mode="w:gz"):
    """entries: (TarInfo or name, bytes)."""
    with tarfile.open(path, mode) as archive:
        for name, data in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isfile():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if info.isfile() else None)
    return path


def opened(path, tmp_path, limits=SMALL):
    return open_archive(path, tmp_path / "unpacked", limits)


def refusals(tree):
    return {line.origin: line.code for line in tree.refused}


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_imports_as_its_folder_does(tmp_path, suffix):
    source = write_pairs(tmp_path / "ward")
    files = [(path, (source / path).read_bytes()) for path in snapshot(source)]
    path = tmp_path / f"ward.{suffix}"
    if suffix == "zip":
        zipped(path, files)
    else:
        tarred(path, files, "w:" + suffix.removeprefix("tar").removeprefix("."))
    before = snapshot(tmp_path)
    from_archive = run_import(path, tmp_path / "root" / "a")
    from_folder = run_import(source, tmp_path / "root" / "b")
    one, other = snapshot(from_archive.folder), snapshot(from_folder.folder)
    assert {name: told[0] for name, told in one.items()} == {name: told[0] for name, told in other.items()}
    assert from_archive.summary.source == "ward" and before.items() <= snapshot(tmp_path).items()
    assert sorted(path.name for path in (tmp_path / "root" / "a").iterdir()) == ["ward-7"]


ESCAPES = [
    "../out.png",
    "a/../../out.png",
    "/etc/out.png",
    "C:\\out.png",
    "c:/out.png",
    "..\\out.png",
    "\\\\host\\x.png",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_entries_that_escape_are_refused(tmp_path, name):
    data = encoded(frame(), "PNG")
    for tree in (
        opened(zipped(tmp_path / "a.zip", [(name, data), ("in.png", data)]), tmp_path),
        opened(tarred(tmp_path / "a.tgz", [(name, data), ("in.png", data)]), tmp_path),
    ):
        assert list(refusals(tree).values()) == ["E_ARCHIVE_ESCAPES"] and tree.files() == ("in.png",)


def test_links_and_devices_are_refused(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    tree = opened(zipped(tmp_path / "a.zip", [(link, b"/etc/passwd"), ("in.png", b"x")]), tmp_path)
    assert refusals(tree) == {"link.png": "E_ARCHIVE_LINK"} and tree.files() == ("in.png",)
    entries = [
        (special("soft.png", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("hard.png", tarfile.LNKTYPE, "in.png"), b""),
        (special("pipe", tarfile.FIFOTYPE), b""),
        (special("disk", tarfile.BLKTYPE), b""),
        (special("tty", tarfile.CHRTYPE), b""),
        ("in.png", b"x"),
    ]
    tree = opened(tarred(tmp_path / "a.tar.gz", entries), tmp_path)
    assert refusals(tree) == {
        "soft.png": "E_ARCHIVE_LINK",
        "hard.png": "E_ARCHIVE_LINK",
        "pipe": "E_ARCHIVE_DEVICE",
        "disk": "E_ARCHIVE_DEVICE",
        "tty": "E_ARCHIVE_DEVICE",
    }
    assert tree.files() == ("in.png",) and tree.read("in.png") == b"x"


def test_bombs(tmp_path):
    zeros = bytes(200_000)
    one = zipped(tmp_path / "one.zip", [("big.png", zeros[:50_000]), ("in.png", b"x")])
    assert refusals(opened(one, tmp_path)) == {"big.png": "E_ARCHIVE_BOMB"}
    many = zipped(tmp_path / "many.zip", [(f"{n}.png", zeros[:4_000]) for n in range(20)])
    tar = tarred(tmp_path / "big.tar.gz", [(f"{n}.png", zeros[:4_000]) for n in range(20)])
    skipped = tarred(tmp_path / "skipped.tar.gz", [("big.png", zeros), ("in.png", b"x")])
    for bomb in (many, tar, skipped):
        with pytest.raises(DataError) as caught:
            opened(bomb, tmp_path)
        assert caught.value.code == "E_ARCHIVE_BOMB", bomb
    crowd = zipped(tmp_path / "crowd.zip", [(f"{n}.png", b"") for n in range(51)])
    with pytest.raises(DataError, match="E_ARCHIVE_ENTRIES"):
        opened(crowd, tmp_path)


def test_an_entry_that_holds_more_than_it_declares(tmp_path):
    path = zipped(tmp_path / "a.zip", [("lie.png", bytes(range(256)) * 40)], zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")  # the directory's uncompressed size
    path.write_bytes(data)
    tree = opened(path, tmp_path)
    assert tree.files() == () and set(refusals(tree).values()) <= {"E_ARCHIVE_BOMB", "E_ARCHIVE_ENTRY"}
    assert not list((tmp_path / "unpacked").iterdir())


def test_a_tar_header_that_claims_a_huge_extension(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(header.tobuf() + bytes(1024))
    with pytest.raises(DataError, match="E_ARCHIVE_BROKEN"):
        opened(path, tmp_path)


def test_encrypted_broken_and_external_archives(tmp_path):
    path = zipped(tmp_path / "a.zip", [("in.png", b"x" * 100)])
    locked = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + at] |= 1
    cases = {
        "locked.zip": (bytes(locked), "E_ARCHIVE_ENCRYPTED"),
        "cut.zip": (path.read_bytes()[:-30], "E_ARCHIVE_BROKEN"),
        "a.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "E_ARCHIVE_KIND"),
        "a.rar": (b"Rar!\x1a\x07\x01\x00" + bytes(40), "E_ARCHIVE_KIND"),
    }
    whole = tarred(tmp_path / "b.tar.gz", [("in.png", bytes(3000))]).read_bytes()
    cases["cut.tar.gz"] = (whole[: len(whole) // 2], "E_ARCHIVE_BROKEN")
    cases["text.gz"] = (gzip.compress(b"no tar" * 300), "E_ARCHIVE_BROKEN")
    for name, (data, code) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError) as caught:
            run_import(tmp_path / name, tmp_path / "root")
        assert caught.value.code == code, name
        assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("at", [39, 60, 160])
def test_a_damaged_entry_spoils_no_other(tmp_path, method, at):
    entries = [("a.png", encoded(frame(1), "PNG")), ("b.png", encoded(frame(2), "PNG"))]
    path = zipped(tmp_path / "a.zip", entries, method)
    data = bytearray(path.read_bytes())
    data[at : at + 6] = bytes(byte ^ 0xFF for byte in data[at : at + 6])
    path.write_bytes(data)
    result = run_import(path, tmp_path / "root")
    assert lines(result) == {"E_ARCHIVE_ENTRY": ["a.png"]} and result.summary.taken == 1


def test_nested_hidden_and_doubled_entries(tmp_path):
    inner = zipped(tmp_path / "inner.zip", [("x.png", b"x")]).read_bytes()
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zipped(
            tmp_path / "a.zip",
            [("in.zip", inner), ("a.png", b"1"), ("a.png", b"2"), ("__MACOSX/._a.png", b"m"), ("./b//c.png", b"3")],
        )
    tree = opened(path, tmp_path)
    assert refusals(tree) == {"in.zip": "E_ARCHIVE_NESTED", "a.png": "E_ARCHIVE_TWICE"}
    assert tree.files() == ("a.png", "b/c.png") and tree.read("a.png") == b"1"


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["图像/病例1.png", "掩码/病例1.png"], "gbk"),
        (["Größe/é.png"], "cp437"),
        (["图像/a.png"], "utf-8"),
        (["a.png"], "cp437"),
    ],
)
def test_names_of_other_systems(tmp_path, names, encoding):
    path = tmp_path / "a.zip"
    # the zip module writes what is no ASCII as UTF-8 with a flag: old packers wrote bytes and no flag
    placeholders = {name: chr(97 + n) * len(name.encode(encoding)) for n, name in enumerate(names)}
    zipped(path, [(placeholder, b"x") for placeholder in placeholders.values()])
    data = path.read_bytes()
    for name, placeholder in placeholders.items():
        data = data.replace(placeholder.encode(), name.encode(encoding))
    path.write_bytes(data)
    assert sorted(opened(path, tmp_path).files()) == sorted(names)


def test_very_long_names_are_unpacked(tmp_path):
    name = "/".join(["肠" * 80] * 4) + "/" + "x" * 300 + ".png"
    for path in (zipped(tmp_path / "a.zip", [(name, b"x")]), tarred(tmp_path / "a.tar", [(name, b"x")], "w")):
        assert opened(path, tmp_path).read(name) == b"x"


def test_names_of_thousands_of_digits_are_ordinary_ones(tmp_path):
    names = ["images/9.png", f"images/{'1' * 5000}.png", f"images/{'2' * 5000}.png", f"images/{'1' * 5001}.png"]
    path = zipped(tmp_path / "a.zip", [(name, encoded(frame(n), "PNG")) for n, name in reversed([*enumerate(names)])])
    assert opened(path, tmp_path, Limits()).files() == tuple(names)
    for cohort_id in ("ward-7", "cvc-clinicdb"):  # the latter lists ranges of numbers
        assert run_import(path, tmp_path / "root", cohort_id).summary.taken == 4


NAMES = st.text("ab./\\:C\0é肠~", min_size=1, max_size=14)


@settings(max_examples=60)
@given(entries=st.lists(st.tuples(NAMES, st.binary(max_size=30)), max_size=6), kind=st.sampled_from(["zip", "tar"]))
@pytest.mark.filterwarnings("ignore:Duplicate")
def test_random_archives_never_write_outside(tmp_path_factory, entries, kind):
    index = tmp_path_factory.mktemp("random")
    path = index / f"a.{kind}"
    if kind == "zip":
        zipped(path, [(zipfile.ZipInfo(name), data) for name, data in entries if name.strip("\0")])
    else:
        tarred(path, entries, "w")
    before = set(index.rglob("*"))
    try:
        tree = open_archive(path, index / "unpacked", SMALL)
    except DataError as error:
        assert error.code.startswith("E_ARCHIVE_")
        tree = None
    written = set(index.rglob("*")) - before - {index / "unpacked"}
    assert {path.parent for path in written} <= {index / "unpacked"}
    for name in tree.files() if tree else ():
        assert not name.startswith("/") and ".." not in name.split("/") and tree.local(name) in written


def test_a_folders_link_that_leads_outside_is_refused(tmp_path):
    source = write_pairs(tmp_path / "src")
    (tmp_path / "secret.png").write_bytes(encoded(mask(), "PNG"))
    (source / "images/leak.png").symlink_to(tmp_path / "secret.png")
    (source / "images/inside.jpg").symlink_to(source / "images/a.jpg")
    (source / "more").symlink_to(tmp_path)
    (source / "images/loop.jpg").symlink_to(source / "images/loop.jpg")
    os.mkfifo(source / "images/pipe.jpg")
    result = run_import(source, tmp_path / "root")
    assert lines(result)["E_LINK_BROKEN"] == ["images/loop.jpg"]
    assert lines(result)["E_FILE_SPECIAL"] == ["images/pipe.jpg"]
    assert lines(result)["E_LINK_OUTSIDE"] == ["more", "images/leak.png"]
    assert (result.folder / "images/inside.jpg").is_file() and not (result.folder / "images/leak.png").exists()
