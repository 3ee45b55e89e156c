"""Adapt a pretrained model to your task, and prove that what you ship is better than what you had."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator

import typer

from tunewright import __version__
from tunewright.core.errors import MachineError, TunewrightError, nearest
from tunewright.core.files import machine_errors

UsageError = typer.BadParameter.__base__  # typer has exported its base classes from different places over time
ClickException = UsageError.__base__

# The order of the life cycle, for --help; a verb is the file of that name in cli/verbs.
ORDER = (
    "init",
    "check",
    "train",
    "search",
    "evaluate",
    "compare",
    "pairs",
    "combine",
    "compress",
    "export",
    "predict",
    "serve",
    "monitor",
    "runs",
    "list",
)

app = typer.Typer(
    help=f"{__doc__}\n\nStart with: tunewright init DATA.csv, then tunewright train recipe.yaml.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tunewright {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def _register() -> None:
    from tunewright.cli import verbs

    files = [module.name for module in pkgutil.iter_modules(verbs.__path__)]
    known = [name for name in ORDER if f"{name}_" in files or name in files]
    for name in [*known, *sorted(file.rstrip("_") for file in files if file.rstrip("_") not in ORDER)]:
        file = name if name in files else f"{name}_"
        module = importlib.import_module(f"tunewright.cli.verbs.{file}")
        app.command(name, help=module.__doc__)(module.command)


def main() -> None:
    """Run the command line; ends the process with the documented exit code."""
    _register()
    _open_streams()
    sys.exit(run(sys.argv[1:]))


def _open_streams() -> None:
    """A closed output takes everything and shows nothing. Answers are data: UTF-8 in any locale, as JSON is."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def run(arguments: list[str]) -> int:
    """Run one command and give its exit code: 0 pass, 1 crash, 2 refused by a gate, 3 bad usage, recipe or data."""
    json_wanted = "--json" in arguments
    try:
        with machine_errors(_output_of(arguments)), _named():
            code = app(arguments or ["--help"], standalone_mode=False, prog_name="tunewright")
            if code == 130:  # what typer makes of Ctrl-C
                raise KeyboardInterrupt
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except TunewrightError as error:
        return _fail(str(error), error.exit_code, json_wanted)
    except UsageError as error:
        return _fail(_usage(error), 3, json_wanted)
    except ClickException as error:
        return _fail(error.format_message(), 3, json_wanted)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("Stopped.", 130, json_wanted)
    except (BrokenPipeError, SystemExit):  # the latter is what typer makes of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail(
            "Memory does not suffice. Close other programs, or use a smaller backbone or batch.", 3, json_wanted
        )
    except Exception:
        traceback.print_exc()
        return _fail("This is a defect of Tunewright: please report it with the lines above.", 1, json_wanted)


def _fail(message: str, code: int, json_wanted: bool) -> int:
    from tunewright.cli.output import emit

    print(f"tunewright: {message}" if code != 130 else message, file=sys.stderr)
    if json_wanted:
        with contextlib.suppress(OSError):  # it may be the output that fails
            emit({"error": message, "exit": code})
            sys.stdout.flush()
    return code


def _usage(error: typer.BadParameter) -> str:
    message = error.format_message()
    if hasattr(error, "possibilities") and error.ctx:  # an option that does not exist: the nearest one is enough
        known = [name for parameter in error.ctx.command.params for name in parameter.opts]
        message = f"There is no option {error.option_name}.{nearest(error.option_name, known)}"
    where = f" See: {error.ctx.command_path} --help" if error.ctx else ""
    return f"{message}{where}"


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Name the file that a refusal of the system is about; one without a name is about the output."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise MachineError(
            f"Cannot open {error.filename}: {error.strerror}. Look at its name and rights, or give another."
        ) from error


def _output_of(arguments: list[str]) -> str:
    return arguments[arguments.index("--out") + 1] if "--out" in arguments[:-1] else "the output"


if __name__ == "__main__":
    main()
