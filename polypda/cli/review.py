"""``polypda review``: a page for clinicians, and what comes back from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.cli.configuration import DataRoot, default_cache
from polypda.errors import UsageError, nearest
from polypda.files import require_run
from polypda.workflows.runs.paths import Paths

if TYPE_CHECKING:
    from polypda.workflows.review.receive import Received

Opt = typer.Option
MB = 1_000_000
LARGE_PAGE_MB = 150

review_app = typer.Typer(
    name="review",
    help="Have outlines judged by clinicians: a page without network, and what comes back from it.",
    no_args_is_help=True,
)


@review_app.command("build")
def build_command(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders of `polypda adapt`, or of `polypda predict`.", show_default=False)
    ],
    out: Annotated[Path, Opt(help="Folder to hand out: index.html and all that belongs to it.", show_default=False)],
    cases: Annotated[int, Opt(help="How many frames at most.")] = 200,
    order: Annotated[
        str | None,
        Opt(
            help="What comes first: worst, improved, harmed, disagreement (before against after), uncertain, random. "
            "Default: random if blinded, worst where the run was scored, else disagreement.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[str, Opt(help="test (held out), or train, whose accepted frames can teach `adapt --accepted`.")] = (
        "test"
    ),
    blinded: Annotated[
        bool, Opt("--blinded", help="Two outlines A and B per frame, drawn by lot; the key stays in the run.")
    ] = False,
    single_file: Annotated[bool, Opt("--single-file", help="All frames inside index.html: one file to send.")] = False,
    every_frame: Annotated[
        bool, Opt("--every-frame", help="Several frames of a sequence; one of each without it.")
    ] = False,
    panels: Annotated[bool, Opt(help="Write panels/*.png for slides: frame, reference, before, after.")] = True,
    images: Annotated[
        Path | None, Opt(help="The pictures, where the predictions' folder does not tell.", show_default=False)
    ] = None,
    seed: Annotated[int, Opt(help="Decides shuffles.")] = 0,
    force: Annotated[bool, Opt("--force", help="Replace a former review in --out.")] = False,
    data_root: DataRoot = Path("data"),
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Rendered phantoms.")] = None,
) -> None:
    """Make the folder that a clinician opens by a double click, without installation or network.

    What was handed out is recorded in RUN/reviews, with the key of a blinded review. The page's path is printed last.
    """
    for run in runs:
        _require_there(run)
    from polypda.cli.console import terminal_progress
    from polypda.cohorts.frames import Split
    from polypda.review.folder import sizes
    from polypda.review.orderings import Order
    from polypda.workflows.review.build import ReviewWish, build_review

    wish = ReviewWish(
        cases=cases,
        order=None if order is None else Order(_one_of(order, list(Order), "--order")),
        part=Split(_one_of(part, list(Split), "--part")),
        blinded=blinded,
        single_file=single_file,
        panels=panels,
        every_frame=every_frame,
        seed=seed,
    )
    paths = Paths(data_root, cache_dir or default_cache())
    record = build_review(runs, out, wish, paths, terminal_progress(), replace_former=force, images=images)
    total_mb = sum(sizes(out)) / MB
    print(f"{len(record.cases)} cases, {total_mb:.0f} MB, review {record.review}", file=sys.stderr)
    page_mb = (out / "index.html").stat().st_size / MB
    if page_mb > LARGE_PAGE_MB:
        print(f"index.html has {page_mb:.0f} MB: an old computer may be slow. Fewer --cases help.", file=sys.stderr)
    print(f"hand out the folder {out}; what comes back is read by:", file=sys.stderr)
    more = "" if images is None else f" --images {images}"
    for run in runs:
        print(f"  polypda review import decisions-….json --run {run}{more}", file=sys.stderr)
    print(out / "index.html")


def _require_there(path: Path) -> None:
    """A run, or what `polypda predict` wrote. Raises: DataError E_RUN_MISSING."""
    if not path.exists():
        require_run(path)


def _one_of(text: str, known: list[str], option: str) -> str:
    if text not in known:
        raise UsageError(
            "E_OPTION", f"{option} {text}: no such word.{nearest(text, known)}", fix=f"one of {', '.join(known)}."
        )
    return text


@review_app.command("import")
def import_command(
    files: Annotated[list[Path], typer.Argument(help="Files that reviewers handed back.", show_default=False)],
    run: Annotated[
        Path, Opt(help="The run (or folder of predictions) that the page was built from.", show_default=False)
    ],
    supersede: Annotated[
        bool, Opt("--supersede", help="A newer file of a reviewer takes the place of the one imported before.")
    ] = False,
    images: Annotated[
        Path | None, Opt(help="The pictures, where the predictions' folder does not tell.", show_default=False)
    ] = None,
    page: Annotated[
        Path | None,
        Opt(help="The folder that was judged, where it came back: its frames are checked too.", show_default=False),
    ] = None,
    data_root: DataRoot = Path("data"),
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Rendered phantoms.")] = None,
) -> None:
    """Check and merge decisions; write what was accepted, what is to be labelled anew, and how far reviewers agree.

    All files count or none; those imported before stay. `polypda report RUN` shows the failure analysis. Rejected cases
    stay in the test set. The folder is printed last.
    """
    _require_there(run)
    from polypda.workflows.review.receive import receive

    paths = Paths(data_root, cache_dir or default_cache())
    received = receive(files, run, paths, supersede=supersede, images=images, page=page)
    found = received.findings
    told = ", ".join(f"{count} {name}" for name, count in found.counts.items() if count)
    names = received.reviewers
    print(f"{len(names)} reviewer{'s' * (len(names) > 1)} ({', '.join(names)}): {told}", file=sys.stderr)
    for one in found.agreement:
        interval = "" if one.low is None else f" [{one.low:.2f}, {one.high:.2f}]"
        value = "–" if one.value is None else f"{one.value:.2f}"
        print(f"{one.name}: {value}{interval} over {one.cases} cases {one.words}".rstrip(), file=sys.stderr)
    if received.disagreements:
        print(f"{received.disagreements} cases in disagreements.csv: talk about them", file=sys.stderr)
    if found.preference is not None:
        better = found.preference
        p = "" if better.p is None else f", p = {better.p:.3f}"
        print(f"better after: {better.after}, before: {better.before}, the same: {better.same}{p}", file=sys.stderr)
    _print_accepted(received)
    for note in received.notes:
        print(note, file=sys.stderr)
    print(received.folder)


@review_app.command("correct")
def correct_command(
    labels: Annotated[
        Path,
        typer.Argument(help="Folder of relabel/ as COCO, LabelMe or CVAT saved it, or of masks.", show_default=False),
    ],
    run: Annotated[Path, Opt(help="The run (or folder of predictions) that was reviewed.", show_default=False)],
    review: Annotated[str | None, Opt(help="Its id, where the files do not tell.", show_default=False)] = None,
    images: Annotated[
        Path | None, Opt(help="The pictures, where the predictions' folder does not tell.", show_default=False)
    ] = None,
    data_root: DataRoot = Path("data"),
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Rendered phantoms.")] = None,
) -> None:
    """Take back outlines that were corrected in an annotation tool: they then stand in accepted.csv.

    What came back unchanged is left out and named. The path of accepted.csv is printed last.
    """
    _require_there(run)
    from polypda.cohorts.image_files import name_some
    from polypda.workflows.review.correct import correct

    done = correct(labels, run, Paths(data_root, cache_dir or default_cache()), review=review, images=images)
    print(f"{len(done.taken)} corrected: {name_some(done.taken)}", file=sys.stderr)
    if done.unchanged:
        print(f"{len(done.unchanged)} unchanged, left out: {name_some(done.unchanged)}", file=sys.stderr)
    for line in done.without:
        print(f"left out: {line}", file=sys.stderr)
    _print_accepted(done.received)
    for note in done.received.notes:
        print(note, file=sys.stderr)
    print(done.received.folder / "accepted.csv")


def _print_accepted(received: Received) -> None:
    by_hand = f", {received.corrected} corrected by hand" if received.corrected else ""
    print(f"{received.accepted} accepted{by_hand}, {received.to_relabel} to label anew (relabel/)", file=sys.stderr)


@review_app.command("serve")
def serve_command(
    folder: Annotated[Path, typer.Argument(help="Folder of `polypda review build`.", show_default=False)],
    reviewer: Annotated[str, Opt(help="Whose decisions are saved.", show_default=False)],
    save: Annotated[Path | None, Opt(help="Where decisions are saved. Default: FOLDER-decisions beside it.")] = None,
    port: Annotated[int, Opt(help="0: any free one.", min=0, max=65535)] = 0,
) -> None:
    """Show the page from this computer (127.0.0.1 only, with a random token) and save decisions to its disk.

    Not needed: the page works by a double click as well. Ends with Ctrl-C.
    """
    from polypda.review.server import ReviewServer

    if not reviewer.strip():
        raise UsageError("E_OPTION", "--reviewer is empty.", fix="--reviewer NAME")
    decisions = save or folder.resolve().parent / f"{folder.resolve().name}-decisions"
    with ReviewServer(folder, reviewer.strip(), decisions, port) as server:
        print(f"decisions are saved in {server.saved}; Ctrl-C ends", file=sys.stderr)
        print(server.address, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(server.saved if server.saved.is_file() else "nothing was saved", file=sys.stderr)
