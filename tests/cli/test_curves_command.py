"""`polypda curves`: a page and pictures of any run, again and again, and nothing of it overwritten by mistake."""

import json

from support.runs import write_run


def test_curves_of_a_running_adaptation_are_drawn_and_redrawn(polypda, tmp_path):
    run = write_run(tmp_path / "run", 30, accuracy=0.99)
    status, out, err = polypda("curves", "run")
    assert status == 0, err
    assert out.splitlines()[-1] == "run/curves/index.html"
    names = {path.name for path in (run.folder / "curves").iterdir()}
    assert names == {"index.html", "findings.json", "curves-adda.png", "curves-adda.svg", "checksums.sha256"}
    page = (run.folder / "curves" / "index.html").read_text()
    assert "discriminator won" in page and "not clinical evidence" in page and str(tmp_path) not in page
    assert "won" in json.loads((run.folder / "curves" / "findings.json").read_text())["adda"][0]
    assert polypda("curves", "run")[0] == 0  # while it trains, one looks again


def test_curves_refuse_what_they_cannot_draw(polypda, tmp_path):
    write_run(tmp_path / "run", 0)
    assert polypda("curves", "nowhere")[0] == 3
    status, _, err = polypda("curves", "run")
    assert status == 3 and "E_CURVES_EMPTY" in err
    write_run(tmp_path / "other", 5)
    status, _, err = polypda("curves", "other", "--stage", "ada")
    assert status == 2 and "E_CURVES_STAGE" in err and "adda" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    status, _, err = polypda("curves", "other", "--out", "mine")
    assert status == 3 and "E_REPORT_EXISTS" in err and (tmp_path / "mine" / "notes.txt").exists()
