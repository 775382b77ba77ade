"""Real commands, in this process."""

import sys

import pytest

from polypda.cli.main import main


@pytest.fixture
def polypda(tmp_path, monkeypatch, capsys):
    """Run `polypda WORDS` in a folder of its own; returns (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLYPDA_CACHE", str(tmp_path / "cache"))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["polypda", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        else:
            status = 0
        output = capsys.readouterr()
        return status, output.out, output.err

    return run
