"""Paths and names in what others hand in: nothing outside is read or written, and no name runs, links or commands.

One table: where the name stands, the name, and what becomes of it.
"""

import csv
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from importing.painted_sources import encoded, frame, lines, mask, put, run_import, write_pairs
from support.models import write_run
from support.reviews import decisions_document, write_decisions, write_painted_review

from polypda.cli.console import COLOURS, without_controls
from polypda.cohorts.catalogue import manifest
from polypda.cohorts.image_files import files_by_frame, stays_inside
from polypda.cohorts.sub_cohorts import file_name_of
from polypda.cohorts.tables import harmless, is_formula, read_frames_csv
from polypda.errors import DataError, PolypdaError, UsageError
from polypda.importing.source_tree import open_archive
from polypda.integrity import record
from polypda.reporting.documents.templates import inline
from polypda.reporting.tables.text_table import TextTable, latex_escaped, markdown_table
from polypda.review.decisions import read_decisions, require_fitting
from polypda.review.record import ReviewCase, find_record
from polypda.workflows.review.predicted import PredictedFolder
from polypda.workflows.runs.accepted import read_accepted

SECRET = "SECRET-0815"
ESCAPES = (
    "../secret.png",
    "../../secret.png",
    "a/../../secret.png",
    "/etc/hostname",
    "/secret.png",
    "~/secret.png",
    "~root/secret.png",
    "C:\\secret.png",
    "C:/secret.png",
    "c:secret.png",
    "\\\\host\\share\\secret.png",
    "//host/share/secret.png",
    "..\\secret.png",
    "a\\..\\..\\secret.png",
    "a/..",
    "..",
    "a\0/../secret.png",
)
RESERVED = (
    "CON.png",
    "nul.png",
    "aux.jpg.png",
    "COM1.png",
    "lpt9.png",
    "a:b.png",
    "a?.png",
    "trailing .png",
    "a\x07b.png",
)
FORMULAS = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    '=HYPERLINK("http://x","y")',
    "-SUM(A1)",
    "\t=1+1",
)
PLAIN = ("-001", "+3", "-0.12", "a=b", "patient 7", "Haining-2 (WL)", "+0.03 [0.01, 0.05]", "—")
opened: list[str] = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)


@pytest.fixture
def nothing_outside(tmp_path):
    """A folder to work in; outside of it nothing may be made or read."""
    inside = tmp_path / "a" / "b" / "inside"
    inside.mkdir(parents=True)
    secrets = [tmp_path / "secret.png", tmp_path / "a" / "secret.png", tmp_path / "a" / "b" / "secret.png"]
    for path in secrets:
        path.write_bytes(encoded(mask(), "PNG") + SECRET.encode())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if not path.is_relative_to(inside)}
    opened.clear()
    yield inside
    assert not {str(path) for path in secrets} & set(opened), "a file outside was read"
    assert not any("etc/hostname" in path for path in opened)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if not path.is_relative_to(inside)}
    assert {path: after.get(path) for path in secrets} == {path: before[path] for path in secrets}
    assert set(after) == set(before), "something outside was made"


@pytest.mark.parametrize("name", ESCAPES)
class TestEscapes:
    def test_it_is_told_from_a_path_inside(self, name):
        assert not stays_inside(name)
        assert stays_inside("masks/a b/图.png")

    def test_in_an_archive(self, nothing_outside, name):
        data = encoded(frame(), "PNG")
        for path in (nothing_outside / "a.zip", nothing_outside / "a.tar"):
            if path.suffix == ".zip":
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr(zipfile.ZipInfo(name), data)
                    archive.writestr("in.png", data)
            else:
                with tarfile.open(path, "w") as archive:
                    for each in (name, "in.png"):
                        info = tarfile.TarInfo(each)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
            tree = open_archive(path, nothing_outside / f"unpacked{path.suffix}")
            # a folder called "~" stays inside, and so does "a" of a name that ends at its zero byte
            assert "in.png" in tree.files() and all(stays_inside(each) or each[0] == "~" for each in tree.files())
            assert all(tree.local(each).is_relative_to(nothing_outside) for each in tree.files())

    def test_in_a_manifest(self, nothing_outside, name):
        known = manifest("haining").model_dump(mode="json") | {"id": "ward-7"}
        known["layouts"] = [{"name": "a", "verified": True, "folders": ["x"], "images": [name], "unmasked": "negative"}]
        (nothing_outside / "ward-7").mkdir()
        text = json.dumps(known)  # is YAML
        (nothing_outside / "ward-7" / "manifest.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match="E_MANIFEST"):
            manifest("ward-7", nothing_outside)

    def test_in_a_coco_file_and_a_table(self, nothing_outside, name):
        source = write_pairs(nothing_outside / "ward")
        listed = {"images": [{"id": 1, "file_name": name, "width": 60, "height": 40}],
                  "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9], "category_id": 1}],
                  "categories": [{"id": 1, "name": "polyp"}]}  # fmt: skip
        put(source / "labels.json", json.dumps(listed).encode())
        put(source / "frames.csv", f"frame,patient\n{name},P1\n".replace("\0", "").encode())
        for format_name in ("coco", "folders"):
            try:
                result = run_import(source, nothing_outside / f"root-{format_name}", format=format_name)
            except PolypdaError as error:
                assert error.code.startswith("E_")
            else:
                made = [path.stem for path in result.folder.rglob("images/*")] if result.folder else []
                assert set(made) <= {"a", "b", "c"}

    def test_in_predictions_to_review(self, nothing_outside, name):
        for column in ("name", "mask"):
            row = {"name": "a", "mask": "masks/a.png", "input": "a.png"} | {column: name.replace("\0", "/../..")}
            pd.DataFrame([row]).to_csv(nothing_outside / "predictions.csv", index=False)
            with pytest.raises(DataError, match="E_REVIEW_PREDICTIONS"):
                PredictedFolder(nothing_outside).mask("a")

    def test_in_accepted_masks(self, nothing_outside, name):
        columns = [
            "cohort",
            "frame",
            "split",
            "run",
            "model",
            "training",
            "prediction",
            "mask",
            "mask_sha256",
            "reviewers",
            "review",
        ]
        row = dict.fromkeys(columns, "x") | {"mask": name.replace("\0", "/../..")}
        pd.DataFrame([row]).to_csv(nothing_outside / "accepted.csv", index=False)
        with pytest.raises(DataError, match=r"E_ACCEPTED_(FILE|MASK)"):
            read_accepted(nothing_outside / "accepted.csv")

    def test_in_a_review(self, nothing_outside, name):
        said = {"number": 1, "run": "r", "cohort": "c", "frame": "f", "split": "test", "width_px": 9, "height_px": 9}
        said |= {"image_sha256": "", "prediction": "", "trainings": {}}
        ReviewCase.model_validate(said | {"case": "0123456789ab", "image": "frames/a.png"})
        for place in ("case", "image"):
            with pytest.raises(ValueError, match="leads out"):
                ReviewCase.model_validate(said | {"case": "0", "image": "a.png"} | {place: name})

    def test_in_decisions(self, nothing_outside, name):
        review = write_painted_review(nothing_outside, 1)
        with pytest.raises(DataError, match="E_REVIEW_UNKNOWN"):
            find_record(nothing_outside / "run", name)
        said = decisions_document(review, [{"decision": "accept", "case": name}])
        path = write_decisions(nothing_outside / "said.json", said)
        with pytest.raises(DataError, match="E_REVIEW_"):
            require_fitting(read_decisions(path), review, path)

    def test_in_names_on_the_command_line(self, nothing_outside, polypda, name):
        source, name = write_pairs(nothing_outside / "ward"), name.replace("\0", "/../..")
        for words in (
            ["cohorts", "import", source, "--as", name, "--out", nothing_outside / "data"],
            ["cohorts", "phantom", name, "--frames", "1", "--out", nothing_outside / "data"],
            ["cohorts", "show", name, "--data-root", nothing_outside],
            ["evaluate", "--on", "haining", "--predictions", f"{name}={source}", "--data-root", nothing_outside],
            ["adapt", "--source", name, "--target", "haining", "--phantom", "--out", nothing_outside / "run"],
        ):
            status, _, err = polypda(*words)
            assert status in (2, 3) and err.startswith("E_"), (words, err)

    def test_in_a_cohorts_name(self, nothing_outside, name):
        with pytest.raises((DataError, UsageError), match=r"E_COHORT_NAME|E_MODE_NAME"):
            file_name_of(name)
        with pytest.raises(UsageError):
            manifest(name, nothing_outside)


def test_escapes_in_the_configuration_of_a_run(nothing_outside, polypda):
    """Whoever can edit config.json can edit its checksum."""
    run = write_run(nothing_outside / "run", "source-only").folder
    text = json.loads((run / "config.json").read_text(encoding="utf-8"))
    for number, name in enumerate(ESCAPES):
        entry = ("source", "target", "method")[number % 3]
        (run / "config.json").write_text(json.dumps(text | {entry: name}), encoding="utf-8")
        record(run / "config.json")
        for words in (["curves", run], ["adapt", "--resume", run]):
            status, _, err = polypda(*words)
            assert status == 3 and "E_RUN_CONFIG" in err, (entry, words, err)
        assert polypda("runs", "show", run)[0] == 0


@pytest.mark.parametrize("target", ["../secret.png", "../../secret.png", "/etc/hostname", ".."])
def test_links_that_lead_outside(nothing_outside, target):
    """Neither an import nor a data root follows them."""
    source = write_pairs(nothing_outside / "data" / "ward")
    for place in ("images/leak.png", "masks/a.png", "more"):
        (source / place).unlink(missing_ok=True)
        (source / place).symlink_to(target if place == "more" else f"../../{target}")
    result = run_import(source, nothing_outside / "root")
    assert set(lines(result)) & {"E_LINK_OUTSIDE", "E_LINK_BROKEN"}
    assert {path.stem for path in (result.folder / "images").iterdir()} <= {"a", "b", "c"}


@pytest.mark.parametrize("name", [*RESERVED, *(f"{text}.png".replace("/", "_") for text in FORMULAS)])
def test_names_of_files_become_harmless_on_import(nothing_outside, name):
    source = nothing_outside / "ward"
    put(source / name, encoded(frame(), "PNG"))
    put(source / "sound.png", encoded(frame(1), "PNG"))
    result = run_import(source, nothing_outside / "root")
    taken = [path.name for path in (result.folder / "images").iterdir()]
    assert len(taken) == 2 and result.summary.taken == 2
    for each in taken:
        assert not is_formula(each) and each.isprintable() and not set(each) & set(':?\\"<>|*')
        assert each.split(".")[0].lower() not in ("con", "nul", "aux", "com1", "lpt9")


def test_names_that_differ_by_case_alone_are_two_files_on_every_system(nothing_outside):
    for number, name in enumerate(("Polyp.png", "polyp.png", "POLYP.png")):
        put(nothing_outside / "ward" / name, encoded(frame(number), "PNG"))
    result = run_import(nothing_outside / "ward", nothing_outside / "root")
    assert len({path.name.casefold() for path in (result.folder / "images").iterdir()}) == 3


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_in_tables(tmp_path, text):
    assert is_formula(text)
    written = harmless(pd.DataFrame({"who": [text], "n": [-1.5]})).to_csv(index=False)
    [_, (who, number)] = list(csv.reader(io.StringIO(written)))
    assert who == f"'{text}" and number == "-1.5"
    said = text.strip()
    with (tmp_path / "frames.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["frame", "patient"], ["a", said]])
    with pytest.raises(DataError, match=r"E_FRAMES_CSV_ROW(.|\n)*formula"):
        read_frames_csv(tmp_path / "frames.csv")
    if "/" not in text and "\t" not in text:
        put(tmp_path / "images" / f"{text}.png", b"")
        with pytest.raises(DataError, match="E_FRAME_NAME"):
            files_by_frame(tmp_path, ["images/*"], "images/(?P<frame>.+)", "image")


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_formula_stays(text):
    assert not is_formula(text)


MARKUP = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[here](http://x)", "![](http://x/track.png)")


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_documents(text):
    cell = markdown_table(TextTable(["who"], [[text]], left=1))
    for written in (inline(text), cell):
        assert "](" not in written and not any(f"<{tag}" in written.replace("\\<", "") for tag in ("script", "img"))
    assert "\\input" not in latex_escaped("\\input{/etc/passwd}") and "$" not in latex_escaped("$x$").replace("\\$", "")


SEQUENCES = (
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x07",
    "\x1b[2J",
    "\x1b[6n",
    "\x1bP1\x1b\\",
    "\x9b2J",
    "\r\x1b[A",
    "\u202egnp",
)


@pytest.mark.parametrize("text", SEQUENCES)
def test_names_command_no_terminal(text, polypda, tmp_path):
    shown = without_controls(f"a{text}b\x1b[31mred\x1b[0m", COLOURS)
    assert not set(shown.replace("\x1b[31m", "").replace("\x1b[0m", "")) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "\x1b[31mred" in shown
    _, out, err = polypda("cohorts", "show", f"a{text}b", "--data-root", tmp_path)
    assert "E_COHORT_UNKNOWN" in err and not set(out + err) & {"\x1b", "\x07", "\x9b", "\u202e"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "cp1252", "big5", "utf-8"])
@pytest.mark.parametrize(
    "words", [["cohorts", "list"], ["cohorts", "show", "haining"], ["cohorts", "show", "no·such–×"]]
)
def test_output_on_terminals_of_other_encodings(encoding, words, monkeypatch, tmp_path):
    from polypda.cli.main import main

    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "argv", ["polypda", *words])
    try:
        main()
    except SystemExit as ended:
        assert ended.code in (None, 0, 2)
    assert "haining" in data.getvalue().decode(encoding) or b"E_COHORT_UNKNOWN" in data.getvalue()
    assert stream is sys.stdout, "the stream is put back"


def test_every_text_file_is_opened_with_its_encoding():
    """JSON, YAML and CSV are UTF-8 in every locale."""
    import ast

    package = Path(__file__).parents[2] / "polypda"
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = node.func.attr
            given = {word.arg for word in node.keywords}
            if name in ("read_text", "write_text"):
                assert "encoding" in given, f"{path.name}:{node.lineno}"
