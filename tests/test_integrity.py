"""One flipped bit is noticed, and a writer that is killed at any moment is no fault."""

import pytest

from polypda import integrity
from polypda.errors import DataError
from polypda.files import whole_file, whole_folder, write_json
from polypda.integrity import CHECKSUMS, announce, check, check_folder, fault_beside, faults, record_beside, seal


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_of_a_file_or_of_the_list_is_noticed(tmp_path):
    with whole_folder(tmp_path / "report", sealed=True) as work:
        write_json(work / "evaluation.json", {"dice": 0.5})
        (work / "figures").mkdir()
        (work / "figures" / "a.svg").write_text("<svg/>")
    folder = tmp_path / "report"
    check_folder(folder)
    for path in (folder / "evaluation.json", folder / "figures" / "a.svg", folder / CHECKSUMS):
        for bit in range(8 * path.stat().st_size):
            flip(path, bit)
            with pytest.raises(DataError, match=r"E_FILE_CHANGED|E_CHECKSUMS"):
                check_folder(folder)
            flip(path, bit)
    check_folder(folder)
    (folder / "evaluation.json").unlink()
    assert [(fault.path.name, fault.what) for fault in faults(folder)] == [("evaluation.json", "is gone")]
    assert not list(faults(folder, may_lack=["evaluation.json"]))


class KilledError(BaseException):
    """In place of a kill: nothing is cleaned up that a process would not."""


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_writer_killed_between_list_and_name_leaves_what_is_taken(tmp_path, times, monkeypatch):
    path = tmp_path / "STATUS.json"
    write_json(path, {"state": 0}, recorded=True)
    write_json(path, {"state": 1}, recorded=True)

    def killed(*arguments):
        announce(*arguments)
        raise KilledError

    monkeypatch.setattr(integrity, "announce", killed)
    for state in range(2, 2 + times):
        with pytest.raises(KilledError):
            write_json(path, {"state": state}, recorded=True)
        check(path)  # the former one lies there
    monkeypatch.undo()
    write_json(path, {"state": 9}, recorded=True)
    check(path)
    write_json(path, {"state": 9.5}, recorded=True)
    path.write_text('{\n "state": 1\n}\n')  # of long before
    with pytest.raises(DataError, match=r"E_FILE_CHANGED .*STATUS\.json"):
        check(path)


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    write_json(tmp_path / "a.json", 1, recorded=True)
    with (tmp_path / CHECKSUMS).open("a") as file:
        file.write("0123abc")  # the disk was full
    check(tmp_path / "a.json")
    write_json(tmp_path / "b.json", 2, recorded=True)
    check_folder(tmp_path)
    assert (tmp_path / CHECKSUMS).read_text().count("\n") == 2


def test_what_nobody_recorded_passes_only_where_nothing_is_recorded(tmp_path):
    (tmp_path / "old.json").write_text("1")
    check(tmp_path / "old.json")
    write_json(tmp_path / "new.json", 1, recorded=True)
    with pytest.raises(DataError, match="is not in the list"):
        check(tmp_path / "old.json")
    seal(tmp_path)
    check(tmp_path / "old.json")


def test_a_recorded_file_is_removed_with_its_error(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.json", recorded=True):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_handed_on_has_its_checksum_beside_it(tmp_path):
    path = tmp_path / "model.onnx"
    assert fault_beside(path) is None
    path.write_bytes(b"model")
    record_beside(path)
    assert fault_beside(path) is None
    assert (tmp_path / "model.onnx.sha256").read_text().endswith("  model.onnx\n")
    flip(path, 3)
    assert fault_beside(path).path == path
