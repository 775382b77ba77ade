"""A phantom on disk: an ordinary cohort folder, whole or not there, never over anything else."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from polypda.cohorts.images import read_image, read_mask
from polypda.errors import DataError, UsageError
from polypda.phantom import MARKER, NOTICE, PhantomLook, render_cohort, renderer
from polypda.phantom.renderer import group_of


@dataclass(frozen=True)
class _Manifest:
    id: str
    phantom: PhantomLook | None


LOOK = PhantomLook(sizes_px=((128, 104),), negative_fraction=0.3, frames_per_sequence=2)
COHORT = _Manifest("some-centre", LOOK)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_the_folder_is_an_ordinary_cohort(tmp_path: Path) -> None:
    folder = render_cohort(COHORT, frames=14, out=tmp_path / "новый корень", seed=4)
    assert folder == tmp_path / "новый корень" / "some-centre"
    rows = list(csv.DictReader((folder / "frames.csv").open(encoding="utf-8")))
    assert len(rows) == 14 and set(rows[0]) == {"frame", "patient", "sequence", "t_s", "split", "label_state"}
    states = set()
    for row in rows:
        image = read_image(folder / "images" / f"{row['frame']}.jpg")
        mask = read_mask(folder / "masks" / f"{row['frame']}.png")
        assert image.shape == (104, 128, 3) and mask.shape == (104, 128)
        assert (row["label_state"] == "negative") == (not mask.any())
        states.add(row["label_state"])
    assert states == {"mask", "negative"}
    assert len({row["sequence"] for row in rows}) == 7
    patients_of = {row["sequence"]: row["patient"] for row in rows}
    assert 1 < len(set(patients_of.values())) <= 7
    marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    assert marker["notice"] == NOTICE and "ot clinical evidence" in NOTICE
    assert marker["seed"] == 4 and marker["look_sha256"] == LOOK.digest()


def test_first_frames_do_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    short = _files(render_cohort(COHORT, frames=3, out=tmp_path / "short"))
    long = _files(render_cohort(COHORT, frames=7, out=tmp_path / "long"))
    images = {name: data for name, data in short.items() if name.startswith(("images", "masks"))}
    assert len(images) == 6
    assert all(long[name] == data for name, data in images.items())
    assert long["frames.csv"].startswith(short["frames.csv"])


def test_another_cohort_of_the_same_look_and_seed_shows_other_scenes(tmp_path: Path) -> None:
    one = _files(render_cohort(COHORT, frames=1, out=tmp_path))
    other = _files(render_cohort(_Manifest("other-centre", LOOK), frames=1, out=tmp_path))
    assert one["images/some-centre-00000.jpg"] != other["images/other-centre-00000.jpg"]


def test_the_identical_phantom_is_returned_and_anything_else_refused(tmp_path: Path) -> None:
    folder = render_cohort(COHORT, frames=2, out=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert render_cohort(COHORT, frames=2, out=tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(DataError, match="seed differs") as caught:
        render_cohort(COHORT, frames=2, out=tmp_path, seed=1)
    assert caught.value.code == "E_PHANTOM_EXISTS"
    real = tmp_path / "real-centre"
    (real / "images").mkdir(parents=True)
    with pytest.raises(DataError, match="may hold real frames"):
        render_cohort(_Manifest("real-centre", LOOK), frames=2, out=tmp_path)
    assert list(real.iterdir()) == [real / "images"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_rendering_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    written = renderer._write_image
    count = 0

    def failing(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise failure
        written(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(renderer, "_write_image", failing)
    with pytest.raises((KeyboardInterrupt, DataError)) as caught:
        render_cohort(COHORT, frames=5, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    if isinstance(caught.value, DataError):
        assert caught.value.code == "E_PHANTOM_WRITE" and "No space left" in caught.value.what


def test_wrong_orders_are_refused_with_a_code(tmp_path: Path) -> None:
    for arguments, code in (({"frames": 0}, "E_PHANTOM_FRAMES"), ({"frames": 1, "seed": -1}, "E_PHANTOM_SEED")):
        with pytest.raises(UsageError) as caught:
            render_cohort(COHORT, out=tmp_path, **arguments)
        assert caught.value.code == code
    with pytest.raises(DataError) as missing:
        render_cohort(_Manifest("bare", None), frames=1, out=tmp_path)
    assert missing.value.code == "E_PHANTOM_LOOK"
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError) as blocked:
        render_cohort(COHORT, frames=1, out=tmp_path / "file")
    assert blocked.value.code == "E_PHANTOM_WRITE"


def test_patients_have_one_to_three_sequences() -> None:
    groups = [group_of(7, sequence) for sequence in range(60)]
    counts = [sum(patient == p for patient, _ in groups) for p in range(groups[-1][0])]
    assert set(counts) <= {1, 2, 3} and len(set(counts)) > 1
    assert [sequence for _, sequence in groups] == list(range(60))


def test_further_frames_are_held_out_and_of_other_patients(tmp_path: Path) -> None:
    plain = render_cohort(COHORT, frames=9, out=tmp_path / "plain", seed=4)
    folder = render_cohort(COHORT, frames=9, out=tmp_path / "more", seed=4, test_frames=5)
    before, after = (list(csv.DictReader((one / "frames.csv").open(encoding="utf-8"))) for one in (plain, folder))
    assert after[:9] == before and [row["split"] for row in after] == [""] * 9 + ["test"] * 5
    assert not {row["patient"] for row in after[:9]} & {row["patient"] for row in after[9:]}
    first = [name for name in _files(plain) if name.startswith(("images/", "masks/"))]
    assert all(_files(plain)[name] == _files(folder)[name] for name in first)
    assert render_cohort(COHORT, frames=9, out=tmp_path / "more", seed=4, test_frames=5) == folder
    with pytest.raises(DataError, match=r"E_PHANTOM_EXISTS .*frames|test_frames"):
        render_cohort(COHORT, frames=9, out=tmp_path / "more", seed=4, test_frames=6)
