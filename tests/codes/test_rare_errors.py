"""Errors that no other test raises: each by the least that brings it about, with its code."""

import errno
import json
import os
import zipfile
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from importing.dicom_objects import header
from importing.painted_sources import encoded, frame, lines, put, run_import, write_pairs
from importing.reader_fixtures import MemoryTree
from importing.rendered_videos import progressive, write_video

from polypda.cli.main import _told
from polypda.cohorts.frames import PolypBox
from polypda.cohorts.stored_pixels import decode_array
from polypda.errors import DataError, UsageError
from polypda.evaluation.cases import case_table
from polypda.evaluation.cases.case_table import added_columns, read_cases
from polypda.evaluation.cases.clinical_review import findings_of
from polypda.evaluation.cases.evaluation_file import CASES_FILE, FACTS_FILE, read_evaluation
from polypda.importing import archives
from polypda.importing.contract import BoxLabel, DecodedImage, Ledger
from polypda.importing.images import dicom_pixels, videos
from polypda.importing.images.deinterlacing import VideoScan
from polypda.importing.readers import public_sets
from polypda.importing.readers.release import ReleaseReader
from polypda.importing.readers.video import Deinterlace, VideoReader, video_remarks
from polypda.importing.writing.records import label_files
from polypda.networks.weights import copy_tensors
from polypda.prediction.export import ExportOptions, _told_failure
from polypda.prediction.video_overlay import video_segment
from polypda.quality.interlacing import Scan, ScanDecision
from polypda.reporting.documents.study import read_study
from polypda.training import checkpoints
from polypda.training.run_folder import RunFolder
from polypda.workflows.audit import answer
from polypda.workflows.cohorts.cohort_stats import StatsRequest, cohort_statistics
from polypda.workflows.review.build import _by_name
from polypda.workflows.review.receive import receive
from polypda.workflows.runs.accepted import Accepted, require_usable
from polypda.workflows.scoring.evaluate_predictions import evaluate_predictions


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "E_DISK_FULL"),
        (errno.EACCES, "E_FILE_ACCESS"),
        (errno.EROFS, "E_FILE_ACCESS"),
        (errno.EIO, "E_INPUT_OUTPUT"),
        (errno.ESTALE, "E_INPUT_OUTPUT"),
    ],
)
def test_what_the_system_says_of_a_file(number, code):
    error = _told(OSError(number, os.strerror(number), "/somewhere/a.png"))
    assert (error.code, error.where) == (code, "a.png") and error.fix


class TestArchives:
    def test_a_method_of_packing_that_is_not_read(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a.png", encoded(frame(), "PNG"))
            archive.writestr("b.png", encoded(frame(1), "PNG"))
        data = bytearray((tmp_path / "a.zip").read_bytes())
        for signature, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
            at = data.index(signature)
            data[at + place] = 97
        (tmp_path / "a.zip").write_bytes(data)
        result = run_import(tmp_path / "a.zip", tmp_path / "root")
        assert lines(result)["E_ARCHIVE_METHOD"] == ["a.png"] and result.summary.taken == 1

    def test_a_disk_without_room(self, tmp_path, monkeypatch):
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage(10, 9, 1))
        monkeypatch.setattr(archives, "CHUNK_BYTES", 10)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a.png", encoded(frame(), "PNG"))
        with pytest.raises(DataError, match="E_ARCHIVE_NO_SPACE"):
            run_import(tmp_path / "a.zip", tmp_path / "root")


class TestImports:
    def test_two_files_of_rows_for_one_case(self):
        ledger = Ledger()
        tree = MemoryTree({"annotation_txt/case1.txt": b"", "more/annotation_txt/CASE1.txt": b""})
        assert list(public_sets._row_files(tree, ledger)) == ["case1"]
        assert [line.code for line in ledger.lines] == ["E_ANNOTATION_TWICE"]

    def test_two_masks_of_one_frame_of_a_release(self):
        layout = SimpleNamespace(masks=SimpleNamespace(files=("*/*.png",), frame=r"\w/(?P<frame>\d+)"))
        reader = SimpleNamespace(fit=SimpleNamespace(base="", layout=layout))
        ledger = Ledger()
        found = ReleaseReader._masks(reader, MemoryTree({"a/1.png": b"", "b/1.png": b""}), ledger)
        assert found == {"1": "a/1.png"} and [line.code for line in ledger.lines] == ["E_MASK_TWICE"]

    def test_a_label_that_is_promised_and_not_there(self, tmp_path):
        source = write_pairs(tmp_path / "ward")
        (source / "masks" / "b.png").unlink()
        put(source / "frames.csv", b"frame,label_state\na,mask\nb,mask\nc,mask\n")
        assert lines(run_import(source, tmp_path / "root"))["E_LABEL_MISSING"] == ["images/b.jpg"]

    @pytest.mark.parametrize(
        ("label", "code"), [(BoxLabel(()), "E_BOX_NONE"), (BoxLabel(((1, 1, 9, 9),), (10, 12)), "E_BOX_SIZE")]
    )
    def test_boxes_that_are_none_or_of_another_image(self, label, code):
        with pytest.raises(DataError, match=code):
            label_files(label, DecodedImage(frame()), "a.json")

    def test_a_dicom_object_of_a_size_that_none_has(self, tmp_path):
        made = header(Rows=60_000, Columns=60_000, PixelData=b"\0\0")
        (tmp_path / "ward").mkdir()
        made.save_as(tmp_path / "ward" / "a.dcm", enforce_file_format=True)
        assert lines(run_import(tmp_path / "ward", tmp_path / "root", format="dicom"))["E_DICOM_SIZE"] == ["a.dcm"]

    def test_a_video_that_is_too_large_or_fails(self, tmp_path, monkeypatch):
        (tmp_path / "ward").mkdir()
        path = write_video(tmp_path / "ward" / "a.mp4", progressive(3))
        monkeypatch.setattr(videos, "LARGEST_PX", 10)
        with pytest.raises(DataError, match="E_VIDEO_TOO_LARGE"), videos.open_video(path, "a.mp4"):
            pass
        monkeypatch.undo()
        monkeypatch.setattr(VideoReader, "_frame", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
        assert lines(run_import(tmp_path / "ward", tmp_path / "root", format="video"))["E_VIDEO_FAILED"] == ["a.mp4"]

    def test_a_video_without_a_frame(self, tmp_path, monkeypatch):
        (tmp_path / "ward").mkdir()
        write_video(tmp_path / "ward" / "a.mp4", progressive(2))
        monkeypatch.setattr(videos.Video, "frames", lambda self: iter(()))
        result = run_import(tmp_path / "ward", tmp_path / "root", format="video", options={"deinterlace": "off"})
        assert lines(result)["E_VIDEO_NO_FRAME"] == ["a.mp4"]

    @pytest.mark.parametrize(("coded", "code"), [(True, "N_VIDEO_SCAN"), (False, "W_VIDEO_SCAN")])
    def test_what_a_video_says_against_how_it_looks(self, coded, code):
        scan = VideoScan(ScanDecision(Scan.INTERLACED, 0.9, 4, 5, 5), coded, True)
        video = SimpleNamespace(pixel_aspect=None, turned_degrees=0, without_times=True, clock_set_back=False)
        assert [one.code for one in video_remarks(video, scan, Deinterlace.AUTO)] == ["W_VIDEO_TIMES", code]

    @pytest.mark.parametrize(
        ("window", "code"), [({"WindowCenter": 2000, "WindowWidth": 1000}, "N_DICOM_WINDOW"), ({}, "W_DICOM_WINDOW")]
    )
    def test_deep_grey_of_a_dicom_object(self, window, code):
        made = header(BitsStored=12, PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2", **window)
        _, remarks = dicom_pixels._windowed(np.full((2, 2), 2000, np.uint16), made)
        assert [one.code for one in remarks] == [code]

    def test_boxes_that_are_cut_or_turned_with_their_image(self):
        image = DecodedImage(frame(), orientation=6)
        label = BoxLabel((PolypBox(1, 1, 9, 9),), (60, 40))
        assert "N_BOX_ORIENTATION" in [one.code for one in label_files(label, image, "a").remarks]
        beyond = BoxLabel((PolypBox(-0.5, 1, 9, 9),))
        assert [one.code for one in label_files(beyond, DecodedImage(frame()), "a").remarks] == ["N_BOX_CLIPPED"]

    def test_a_name_that_no_file_can_have(self, tmp_path):
        put(tmp_path / "ward" / "CON.png", frame())
        assert "N_FRAME_RENAMED" in lines(run_import(tmp_path / "ward", tmp_path / "root"))

    def test_a_region_that_stands_for_several(self, tmp_path):
        put(tmp_path / "ward" / "a.png", frame())
        run = {"size": [40, 60], "counts": [300, 200, 1900]}
        drawn = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": run, "bbox": [7, 0, 5, 40]}
        listed = {"images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
                  "annotations": [drawn], "categories": [{"id": 1, "name": "polyp"}]}  # fmt: skip
        put(tmp_path / "ward" / "labels.json", json.dumps(listed).encode())
        assert "N_CROWD" in lines(run_import(tmp_path / "ward", tmp_path / "root", format="coco"))

    def test_an_array_that_is_no_image(self):
        from io import BytesIO

        data = BytesIO()
        np.save(data, np.zeros((2, 3, 4)))
        with pytest.raises(DataError, match="E_MASK_ARRAY"):
            decode_array(data.getvalue(), "a.npy")


class TestEvaluations:
    def test_cases_that_are_no_text(self, tmp_path):
        (tmp_path / "cases.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
        with pytest.raises(DataError, match="E_CASES_UNREADABLE"):
            read_cases(tmp_path / "cases.csv")

    def test_facts_of_another_schema(self, tmp_path):
        (tmp_path / FACTS_FILE).write_text('{"schema": "other"}')
        (tmp_path / CASES_FILE).write_text("")
        with pytest.raises(DataError, match=r"E_EVALUATION_FACTS.*schema 'other'"):
            read_evaluation(tmp_path)

    def test_a_metric_called_as_a_column(self, monkeypatch):
        monkeypatch.setattr(case_table, "FRAME_METRICS", {"dice": None})
        with pytest.raises(UsageError, match="E_METRIC_NAME"):
            added_columns()

    def test_an_evaluation_is_not_overwritten(self, tmp_path):
        part = SimpleNamespace(part="test", cohort="haining")
        with pytest.raises(DataError, match="E_EVALUATION_EXISTS"):
            evaluate_predictions([("a", tmp_path)], part, None, tmp_path, None, None)

    def test_labels_of_a_cohort_that_is_not_measured(self):
        with pytest.raises(UsageError, match="E_LABELS_OF"):
            cohort_statistics(StatsRequest(("zju2",), labels_of=("haining",)), None)

    def test_too_few_labels_of_an_audit(self, tmp_path, monkeypatch):
        monkeypatch.setattr(answer, "_named", lambda *_: {"a.png": None, "b.png": None})
        monkeypatch.setattr(
            answer, "read_labels", lambda *_: SimpleNamespace(masks={}, left_out=(("a", "only a box"),))
        )
        with pytest.raises(DataError, match=r"E_AUDIT_FEW.*only a box"):
            answer.answer_audit(None, tmp_path, tmp_path / "out", None, None, None)

    def test_accepted_frames_of_another_cohort(self):
        accepted = Accepted({}, pd.DataFrame({"cohort": ["zju2"]}), "")
        with pytest.raises(DataError, match="E_ACCEPTED_COHORT"):
            require_usable(accepted, SimpleNamespace(id="haining"), "m", SimpleNamespace(pseudo_labels=1))


class TestReviews:
    def test_no_file_was_given(self, tmp_path):
        with pytest.raises(UsageError, match="E_REVIEW_FILES"):
            receive([], tmp_path, None)

    def test_damaged_findings(self, tmp_path):
        put(tmp_path / "reviews" / "a" / "imported" / "review.json", b"{}")
        with pytest.raises(DataError, match="E_REVIEW_FINDINGS"):
            findings_of(tmp_path)

    def test_runs_that_compare_other_models(self):
        opened = [SimpleNamespace(run=SimpleNamespace(name=name), models={"before": name}) for name in "ab"]
        with pytest.raises(UsageError, match="E_REVIEW_MODELS"):
            _by_name(opened)

    def test_a_study_file_that_is_no_text(self, tmp_path):
        (tmp_path / "study.yaml").write_bytes("Müller".encode("latin-1"))
        with pytest.raises(DataError, match="E_STUDY_UNREADABLE"):
            read_study(tmp_path / "study.yaml")


class TestRuns:
    def test_a_status_that_is_damaged(self, tmp_path):
        (tmp_path / "STATUS.json").write_text("{")
        with pytest.raises(DataError, match="E_RUN_STATUS"):
            RunFolder(tmp_path).status()

    def test_a_checkpoint_that_cannot_be_written(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(checkpoints, "_write", full)
        monkeypatch.setattr(checkpoints, "_require_finite", lambda *_: None)
        with pytest.raises(DataError, match="E_CHECKPOINT_WRITE stage/step-000003"):
            (tmp_path / "stage").mkdir()
            checkpoints.save_checkpoint(tmp_path / "stage", None, 3)
        assert not list((tmp_path / "stage").iterdir())

    def test_a_network_that_cannot_be_exported(self):
        with pytest.raises(DataError, match="E_EXPORT_FAILED"), _told_failure(ExportOptions("torchscript")):
            raise RuntimeError("no such operator")

    def test_weights_that_did_not_arrive(self):
        class Deaf(torch.Tensor):
            def copy_(self, *_, **__):
                return self

        module = SimpleNamespace(state_dict=lambda keep_vars: {"a": torch.zeros(2).as_subclass(Deaf)})
        with pytest.raises(DataError, match="E_WEIGHTS_NOT_LOADED"):
            copy_tensors(module, {"a": torch.ones(2)})

    def test_an_overlay_video_that_cannot_be_written(self, tmp_path):
        import av

        with pytest.raises(DataError, match="E_VIDEO_WRITE"), video_segment(tmp_path / "a.nut", 25):
            raise av.FFmpegError(errno.ENOSPC, "No space left on device")
        assert not list(tmp_path.iterdir())


def test_a_table_whose_quotes_do_not_close_is_told(tmp_path):
    source = write_pairs(tmp_path / "source")
    put(source / "frames.csv", b'frame,patient\n"a"b,1\n')
    assert lines(run_import(source, tmp_path / "data"))["E_TABLE"] == ["frames.csv"]
