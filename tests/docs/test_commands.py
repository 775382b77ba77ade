"""What the README and the documents tell people to type exists and parses, and is what CI runs."""

import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest
import typer

from polypda.cli.main import AdaptCommand, app
from polypda.cli.matrix import MatrixGroup
from polypda.codes.index import every_code

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
BENCHMARKS = {"--core", "--threads"}
"""Options of scripts that a page names by themselves."""
LINES_OF_THE_README = 80
MATRIX = "run"
"""The command of `polypda matrix` itself, whose name nobody types."""


def blocks(page):
    return re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def lines(page):
    """Each line of a shell block, and each part of one that calls the command."""
    return [line for block in blocks(page) for line in block.splitlines() if line.strip()]


def commands(page):
    parts = [part.strip() for line in lines(page) for part in line.split("&&")]
    return [re.sub(r"^\S*polypda ", "", part) for part in parts if re.match(r"\S*polypda ", part)]


def named(page):
    """What stands between backticks in a sentence: a part of a command may be left out."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"`polypda ([a-z][^`]*)`", text)


def cases(found):
    return [pytest.param(one, id=f"{page.stem}: {one[:60]}") for page in PAGES for one in found(page)]


@cache
def whole():
    return typer.main.get_command(app)


def resolved(words):
    """The command of a line of words, and its own words."""
    command, own = whole(), list(words)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if not own or own[0].startswith("-"):
            if not isinstance(command, MatrixGroup):
                return command, own
            own = ["run", *own]
        assert own[0] in command.commands, f"no command {own[0]}"
        command = command.commands[own.pop(0)]
    return (command.complete() if isinstance(command, AdaptCommand) else command), own


def option_names(command):
    names = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    if command.name == MATRIX:  # it takes the training options of adapt
        names |= option_names(resolved(["adapt"])[0])
    return names


@pytest.mark.parametrize("text", cases(commands))
def test_every_command_of_a_block_parses(text):
    command, words = resolved(shlex.split(text, comments=True))
    if command.name == MATRIX:
        assert {word for word in words if word.startswith("-")} <= option_names(command)
        return
    context = command.context_class(command)
    given, _, _ = command.make_parser(context).parse_args(words)
    assert not context.args and not given.get("__rest__"), "words that are no argument"
    missing = [one.name for one in command.params if one.required and not given.get(one.name)]
    assert not missing


@pytest.mark.parametrize("text", cases(named))
def test_every_command_that_is_named_exists_with_its_options(text):
    words = shlex.split(text.replace("…", ""))
    command, own = resolved(words)
    assert {word for word in own if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= option_names(command)


def test_every_option_that_is_named_is_some_commands():
    def every(command):
        yield command
        for child in getattr(command, "commands", {}).values():
            yield from every(child.complete() if isinstance(child, AdaptCommand) else child)

    known = set().union(*(option_names(one) for one in every(typer.main.get_command(app))))
    for page in PAGES:
        if page.stem == "errors":  # words of messages
            continue
        assert set(re.findall(r"`(--[a-z][a-z-]+)", page.read_text(encoding="utf-8"))) - BENCHMARKS <= known, page.name


PROSE = re.compile("and|are|cannot|from|holds|is|lists|on|or|out|says|shows|takes|to|which|with|would")
"""Words that follow an option in a sentence."""
NAMES = {
    "--as",
    "--encoder",
    "--format",
    "--method",
    "--model",
    "--on",
    "--source",
    "--sources",
    "--target",
    "--targets",
}
"""Options whose values are told elsewhere than in their help."""
OTHER_PROGRAMS = ("pip ", "tar ", "squeue ")


@cache
def every_option():
    """Name → the options of that name that a command takes."""
    found = {}

    def add(command):
        for one in getattr(command, "params", ()):
            for name in (*one.opts, *one.secondary_opts):
                found.setdefault(name, []).append(one)
        for child in getattr(command, "commands", {}).values():
            add(child.complete() if isinstance(child, AdaptCommand) else child)

    add(whole())
    return found


def wrong_advice(text):
    """Options and commands that are not there, and values that an option does not know."""
    known = every_option()
    wrong = [one for one in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]", text) if one not in {*known, "--help"}]
    for words in re.findall(r"`polypda ([a-z][^`]*)`", text):
        command, own = resolved(words.replace("…", " ").split())
        wrong += [one for one in own if re.fullmatch(r"--[a-z][a-z-]*", one) and one not in option_names(command)]
    return wrong + wrong_values(text)


def wrong_values(text):
    """Values that no help of their option names, of options that take one of several words."""
    wrong = []
    for name, value in re.findall(r"(?<![\w-])(--[a-z][a-z-]*)[ =]([a-z][a-z0-9-]*)(?![\w/:=…*-])(?!\.\w)", text):
        options = every_option().get(name, [])
        of_words = options and all(one.type_descriptor.annotation is str for one in options)
        if of_words and name not in NAMES and not PROSE.fullmatch(value):
            wrong += [] if any(_is_named(value, one.help or "") for one in options) else [f"{name} {value}"]
    return wrong


def _is_named(value, help_text):
    return re.search(rf"(?<![\w-]){re.escape(value)}(?![\w-])", help_text) is not None


def test_what_messages_advise_can_be_typed():
    texts = {text for one in every_code().values() for text in (*one.told.messages, *one.told.remedies)}
    texts = {text for text in texts if not any(program in text for program in OTHER_PROGRAMS)}
    assert not {text: wrong for text in texts if (wrong := wrong_advice(text))}
    for text in ("predict with --probabilities png, or", "--such-a-thing", "`polypda show RUN --order worst`"):
        assert wrong_advice(text), text


def test_the_values_of_options_on_the_pages_are_known():
    pages = [page for page in PAGES if page.stem != "errors"]
    assert not {(page.name, *wrong) for page in pages if (wrong := wrong_values(page.read_text(encoding="utf-8")))}


def test_exactly_two_commands_set_up_a_fresh_machine():
    fresh = [line for line in lines(README) if "-m venv" in line]
    assert len(fresh) == 2
    assert fresh[0].endswith("polypda adapt --source zju2 --target haining --phantom")
    assert fresh[1].endswith("-m pytest")


def test_ci_calls_the_readmes_test_command_and_builds_the_documents():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E '(.*?)' README.md", script)
    assert pattern
    fresh = [line for line in lines(README) if "-m venv" in line]
    assert [line for line in README.read_text().splitlines() if re.search(pattern[1], line)] == [fresh[1]]
    assert "mkdocs build --strict" in script


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LINES_OF_THE_README
