"""What the README tells people to type is what is tested and what exists."""

import re
import shlex
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from polypda.cli.main import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL) for line in block.splitlines()]


def test_exactly_two_commands_set_up_a_fresh_machine():
    fresh = [command for command in COMMANDS if "venv" in command]
    assert len(fresh) == 2
    assert fresh[0].endswith("polypda adapt --source zju2 --target haining --phantom")
    assert fresh[1].endswith("-m pytest")


def test_ci_calls_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E '(.*?)' README.md", script)
    assert pattern
    assert [line for line in README.splitlines() if re.search(pattern[1], line)] == [COMMANDS[1]]


@pytest.mark.parametrize("command", re.findall(r"`polypda ([a-z][^`]*)`", README))
def test_every_command_that_is_named_exists(command, monkeypatch, capsys):
    words = list(takewhile(lambda word: not word.startswith("-") and not word.isupper(), shlex.split(command)))
    monkeypatch.setattr(sys, "argv", ["polypda", *words[:2], "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "Usage" in capsys.readouterr().out


def test_every_option_that_is_named_exists(monkeypatch, capsys):
    import typer

    from polypda.cli.main import AdaptCommand, app

    group = typer.main.get_command(app)
    known = {
        option
        for command in _commands(group)
        for parameter in (command.complete() if isinstance(command, AdaptCommand) else command).params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    own = re.sub(r"`python [^`]*`", "", README)  # the benchmarks' options are their own
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", own))
    assert named <= known


def _commands(command):
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _commands(child)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)h][^)]*)\)", README))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link).exists()
