"""The label firewall of opening, frames.csv, and each way in which a cohort cannot be opened."""

import sys
from pathlib import Path

import pytest
from support.painted_cohorts import paint_mask, save, write_ordinary

from polypda.cohorts.frames import LabelState, Split
from polypda.cohorts.opening import open_cohort, present
from polypda.errors import DataError, LeakageError, UsageError

TABLE = """frame,patient,sequence,t_s,split,label_state
f1,p1,s1,0.0,,mask
f2,p1,s2,0.04,,negative
f3,p2,s1,,,none
"""


def code_of(cohort: str, root: Path | None, **options) -> str:
    with pytest.raises(DataError) as caught:
        open_cohort(cohort, root, **options)
    assert caught.value.fix and caught.value.where
    return caught.value.code


class FilesTouched:
    """Paths that Python opens or lists, by an audit hook (which cannot be removed, only switched off)."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.on = False
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple) -> None:
        if self.on and event in ("open", "os.listdir", "os.scandir") and arguments:
            self.paths.append(str(arguments[0]))

    def touched(self, part: str) -> bool:
        return any(part in path for path in self.paths)


@pytest.fixture(scope="module")
def files_touched():
    return FilesTouched()


@pytest.mark.parametrize("table", [None, TABLE])
def test_without_labels_no_mask_folder_is_touched(tmp_path, files_touched, monkeypatch, table):
    folder = write_ordinary(tmp_path, table=table)
    stat = Path.stat
    asked: list[str] = []
    monkeypatch.setattr(Path, "stat", lambda self, **k: (asked.append(str(self)), stat(self, **k))[1])
    files_touched.paths, files_touched.on = [], True
    opened = open_cohort("zju2", tmp_path, labels=False)
    files_touched.on = False
    assert files_touched.touched("images") and not files_touched.touched("masks")
    assert not any("masks" in path for path in asked)
    assert all(frame.mask is None and frame.label_state is LabelState.NONE for frame in opened.frames)
    files_touched.paths, files_touched.on = [], True
    open_cohort("zju2", tmp_path, labels=True)
    files_touched.on = False
    assert files_touched.touched("masks")  # the hook does see it
    assert (folder / "masks").is_dir()


@pytest.mark.parametrize("table", [None, TABLE])
def test_split_is_the_same_with_and_without_labels(tmp_path, table):
    write_ordinary(tmp_path, table=table)
    with_labels, without = (open_cohort("zju2", tmp_path, labels=labels) for labels in (True, False))
    assert [(f.frame, f.split, f.cluster) for f in with_labels.frames] == [
        (f.frame, f.split, f.cluster) for f in without.frames
    ]


def test_without_labels_missing_masks_do_not_matter(tmp_path):
    folder = write_ordinary(tmp_path)
    for mask in (folder / "masks").iterdir():
        mask.unlink()
    assert len(open_cohort("zju2", tmp_path, labels=False).frames) == 3


def test_frames_csv_gives_groups_times_and_label_states(tmp_path):
    write_ordinary(tmp_path, table="\ufeff" + TABLE)  # as a spreadsheet saves it
    (tmp_path / "zju2/masks/f2.png").unlink()
    one, two, three = open_cohort("zju2", tmp_path).frames
    assert (one.patient, one.sequence, one.t_s, one.label_state) == ("p1", "s1", 0.0, LabelState.MASK)
    assert (two.label_state, two.mask, two.t_s) == (LabelState.NEGATIVE, None, 0.04)
    assert (three.label_state, three.mask, three.t_s) == (LabelState.NONE, None, None)
    assert one.split is two.split


def test_frames_csv_may_hold_the_split(tmp_path):
    write_ordinary(tmp_path, table="frame,split\nf1,train\nf2,validation\nf3,test\n")
    assert [frame.split for frame in open_cohort("zju2", tmp_path).frames] == list(Split)


def test_frames_csv_that_leaks_is_refused(tmp_path):
    write_ordinary(tmp_path, table="frame,sequence,split\nf1,s,train\nf2,s,test\nf3,t,test\n")
    for labels in (True, False):
        with pytest.raises(LeakageError) as caught:
            open_cohort("zju2", tmp_path, labels=labels)
        assert caught.value.code == "E_SPLIT_LEAK" and "sequence s" in caught.value.what


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        ("frame,patent\nf1,1\nf2,1\nf3,1\n", "E_FRAMES_CSV", "'patient'"),
        ("patient\n1\n", "E_FRAMES_CSV", "no column 'frame'"),
        ("", "E_FRAMES_CSV", "no column 'frame'"),
        ("frame;patient\nf1;1\n", "E_FRAMES_CSV", "frame;patient"),
        ("frame,split\nf1,training\nf2,\nf3,\n", "E_FRAMES_CSV_ROW", "'train'"),
        ("frame,label_state\nf1,masked\nf2,\nf3,\n", "E_FRAMES_CSV_ROW", "'mask'"),
        ("frame,t_s\nf1,soon\nf2,\nf3,\n", "E_FRAMES_CSV_ROW", "soon"),
        ("frame,t_s\nf1,nan\nf2,\nf3,\n", "E_FRAMES_CSV_ROW", "nan"),
        ("frame\nf1\nf1\nf2\nf3\n", "E_FRAMES_CSV_ROW", "two rows"),
        ("frame\nf1\nf2\n", "E_FRAMES_CSV_ROW", "without a row: f3"),
        ("frame\nf1\nf2\nf3\nf4\n", "E_FRAMES_CSV_ROW", "without an image: f4"),
        ("frame,patient\nf1,a,b\nf2,\nf3,\n", "E_FRAMES_CSV_ROW", "fields"),
        ("frame,patient\n,a\nf2,\nf3,\n", "E_FRAMES_CSV_ROW", "empty"),
    ],
)
def test_wrong_frames_csv(tmp_path, table, code, said):
    write_ordinary(tmp_path, table=table)
    with pytest.raises(DataError) as caught:
        open_cohort("zju2", tmp_path)
    assert caught.value.code == code and said in caught.value.what
    assert "zju2/frames.csv" in caught.value.where


def test_frames_csv_in_another_encoding(tmp_path):
    (write_ordinary(tmp_path) / "frames.csv").write_bytes("frame,patient\nf1,李\n".encode("gb18030"))
    assert code_of("zju2", tmp_path) == "E_FRAMES_CSV"


def test_unknown_cohort(tmp_path):
    with pytest.raises(UsageError, match="'haining'") as caught:
        open_cohort("hainning", tmp_path)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("make_root", [True, False])
def test_absent_cohort_tells_where_it_looked_and_how_to_obtain_it(tmp_path, make_root):
    root = tmp_path / "root"
    if make_root:
        root.mkdir()
    with pytest.raises(DataError) as caught:
        open_cohort("cvc-clinicdb", root)
    told = str(caught.value)
    assert caught.value.code == "E_COHORT_ABSENT" and caught.value.exit_status == 3
    for part in (str(root), "CVC-ClinicDB", "Computer Vision Center", "--phantom", "--data-root"):
        assert part in told
    assert not present("cvc-clinicdb", root)


def test_no_data_root_at_all():
    assert code_of("zju2", None) == "E_COHORT_ABSENT"
    assert not present("zju2", None)


def test_empty_folder_is_not_absent(tmp_path):
    (tmp_path / "zju2" / "images").mkdir(parents=True)
    assert code_of("zju2", tmp_path) == "E_COHORT_EMPTY"
    (tmp_path / "Kvasir-SEG").mkdir()
    assert code_of("kvasir", tmp_path) == "E_COHORT_EMPTY"


@pytest.mark.parametrize(
    ("cohort", "code"),
    [("sun", "E_COHORT_BOXES"), ("polydeep", "E_COHORT_BOXES"), ("zju2-2021-jiefang", "E_COHORT_VIDEO")],
)
def test_boxes_and_videos_are_not_read_yet(tmp_path, cohort, code):
    assert code_of(cohort, tmp_path) == code
    (tmp_path / cohort).mkdir()
    assert code_of(cohort, tmp_path) == code


def test_missing_masks_are_named(tmp_path):
    folder = write_ordinary(tmp_path, stems=[f"f{number}" for number in range(9)])
    for number in range(7):
        (folder / "masks" / f"f{number}.png").unlink()
    save(folder / "masks" / "g0.png", paint_mask())
    with pytest.raises(DataError) as caught:
        open_cohort("zju2", tmp_path)
    assert caught.value.code == "E_MASK_MISSING"
    assert "7 of 9" in caught.value.what and "f0, f1, f2, f3, f4 and 2 more" in caught.value.what
    assert "g0.png" in caught.value.what


def test_frame_ids_hold_nothing_of_the_machine(tmp_path):
    write_ordinary(tmp_path)
    assert str(tmp_path) not in open_cohort("zju2", tmp_path).table().to_csv()
