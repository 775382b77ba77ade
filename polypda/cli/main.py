"""The command `polypda`: its groups, and how errors reach the user."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from polypda import __version__
from polypda.cli.adapt import adapt_command
from polypda.cli.audit import audit_command
from polypda.cli.cache import cache_app
from polypda.cli.cohorts import cohorts_app
from polypda.cli.configuration import command_with_options, name_data_root
from polypda.cli.console import COLOURS, plain_streams, traceback_without_places, without_controls
from polypda.cli.doctor import doctor_command, explain_command
from polypda.cli.evaluate import evaluate_command
from polypda.cli.matrix import matrix_app
from polypda.cli.methods import methods_command, stylize_command
from polypda.cli.models import export_command, show_command
from polypda.cli.predict import predict_command
from polypda.cli.review import review_app
from polypda.cli.runs import curves_command, report_command, runs_app, source_package_command
from polypda.cohorts.named_root import VARIABLE
from polypda.errors import DataError, Interrupted, PolypdaError
from polypda.processes import exit_status_of_signal, signals_as_ctrl_c, wait_briefly


class AdaptCommand(TyperCommand):
    """`polypda adapt`: its options of the configuration are made when it is called, for they bring torch with them."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.complete().make_context(info_name, args, parent, **extra)

    def complete(self) -> Any:
        """The command with all of its options."""
        return command_with_options(adapt_command)


app = typer.Typer(
    help="Adapt a polyp segmenter from one endoscopy centre to another, and show honestly whether it helped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order of work, as help lists them.
HERE, DATA, ADAPTING, JUDGING, USING = "This machine", "Data", "Adapt", "Judge", "Use the model"
app.command("doctor", rich_help_panel=HERE)(doctor_command)
app.command("explain", rich_help_panel=HERE)(explain_command)
app.add_typer(cohorts_app, name="cohorts", rich_help_panel=DATA)
app.command("stylize", rich_help_panel=DATA)(stylize_command)
app.add_typer(cache_app, name="cache", rich_help_panel=DATA)
app.command("methods", rich_help_panel=ADAPTING)(methods_command)
app.command("adapt", cls=AdaptCommand, rich_help_panel=ADAPTING)(adapt_command)
app.command("source-package", rich_help_panel=ADAPTING)(source_package_command)
app.add_typer(matrix_app, name="matrix", rich_help_panel=ADAPTING)
app.command("curves", rich_help_panel=JUDGING)(curves_command)
app.command("evaluate", rich_help_panel=JUDGING)(evaluate_command)
app.command("report", rich_help_panel=JUDGING)(report_command)
app.command("audit", rich_help_panel=JUDGING)(audit_command)
app.add_typer(review_app, name="review", rich_help_panel=JUDGING)
app.command("predict", rich_help_panel=USING)(predict_command)
app.command("show", rich_help_panel=USING)(show_command)
app.command("export", rich_help_panel=USING)(export_command)
app.add_typer(runs_app, name="runs", rich_help_panel=JUDGING)


FAULT = 1
"""Exit status of an error that nobody has thought of."""
CTRL_C = 130
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"polypda {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show a traceback with an error."),
) -> None:
    """Options of every command."""
    # commands without the option (report) know the manifests of the usual data root as well
    name_data_root(Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)


def main() -> None:
    """Entry point: an error prints as code, place, cause and remedy; a traceback only with --debug."""
    wait_briefly()
    with plain_streams():
        _run()


def _run() -> None:
    try:
        with signals_as_ctrl_c():
            app()
    except SystemExit as ended:
        if ended.code == CTRL_C:  # typer's own, without a word and whichever signal it was
            _end(Interrupted("E_INTERRUPTED", "stopped."))
        raise
    except PolypdaError as error:
        _end(error)
    except KeyboardInterrupt:
        _end(Interrupted("E_INTERRUPTED", "stopped."))
    except OSError as error:
        _end(_told(error), error)
    except Exception as error:
        print(traceback_without_places(error), file=sys.stderr)
        print("this is a fault of polypda: please report it with the lines above.", file=sys.stderr)
        sys.exit(FAULT)


def _told(error: OSError) -> DataError:
    """The coded error for a file that the system would not read or write."""
    name = os.path.basename(str(error.filename or ""))  # noqa: PTH119 - may be no path at all
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DataError(
            "E_DISK_FULL",
            "no space is left on the device; what was being written was removed.",
            where=name,
            fix="free some space (`polypda cache clear` removes what can be computed again) and resume the run.",
        )
    what = f"{error.strerror or error}."
    if error.errno in NO_ACCESS:
        return DataError("E_FILE_ACCESS", what, where=name, fix="name a place that you may read and write.")
    fix = "look whether the disk is well (`dmesg` tells), then give the command again; --debug shows where it happened."
    return DataError("E_INPUT_OUTPUT", what, where=name, fix=fix)


def _end(error: PolypdaError, cause: BaseException | None = None) -> None:
    if "--debug" in sys.argv:
        print(traceback_without_places(cause or error), file=sys.stderr)
    print(without_controls(str(error), COLOURS), file=sys.stderr)
    sys.exit(exit_status_of_signal() if isinstance(error, Interrupted) else error.exit_status)


if __name__ == "__main__":
    main()
