"""The ``hpcnn`` command: a table of subcommands, each imported only when it is called.

``hpcnn --help`` is fast on a login node: it imports click, and no room of hpcnn.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from typing import IO, TYPE_CHECKING, Any

import click

from hpcnn.util.errors import HpcnnError, UsageError, unknown_value
from hpcnn.util.text import printable, visible
from hpcnn.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.shell_completion import CompletionItem

# command -> (module, one line for `hpcnn --help`), below the heading that help shows it under
GROUPS = {
    "Start here": {
        "doctor": ("hpcnn.cli.doctor", "Say what this machine has and what to do about what is missing."),
        "smoke": (
            "hpcnn.cli.smoke",
            "Train serially and with 2 Horovod ranks, and check that they agree (for CI).",
        ),
        "init": ("hpcnn.cli.init", "Begin a project: a model, data and a study of your own, which run as they stand."),
        "models": ("hpcnn.cli.models", "List the networks of the lectures, or show the layers of one."),
        "data": ("hpcnn.cli.data", "List, inspect and stage data sets."),
        "config": ("hpcnn.cli.config", "Show your defaults, and where each comes from."),
        "completion": ("hpcnn.cli.completion", "Let the shell complete commands, options and their values."),
    },
    "Train": {
        "submit": ("hpcnn.cli.submit", "Render a job script, and run it or hand it to Slurm."),
        "train": ("hpcnn.cli.train", "Train a model: the process of one rank."),
        "resume": ("hpcnn.cli.resume", "Submit a training that was cut off again: it goes on where it stopped."),
        "cancel": ("hpcnn.cli.cancel", "Cancel submitted jobs."),
        "interact": ("hpcnn.cli.interact", "Open a shell on a compute node, in a container if asked."),
        "notebook": ("hpcnn.cli.notebook", "Start JupyterLab on a compute node, and print the tunnel to it."),
        "predict-images": ("hpcnn.cli.predict_images", "Label image files with the trained network of a run."),
        "export": ("hpcnn.cli.export", "Write a trained network as Keras, SavedModel or ONNX, or runs to MLflow."),
    },
    "Studies": {
        "study": ("hpcnn.cli.study", "Run or submit every point of a scaling study, or what is missing of it."),
        "scaling-report": ("hpcnn.cli.scaling_report", "Turn run directories into a scaling table."),
        "compare": ("hpcnn.cli.compare", "Compare two sets of runs: before and after, or machine A and B."),
        "predict": ("hpcnn.cli.predict", "Predict a measured study on more ranks."),
        "search": ("hpcnn.cli.search", "Search hyper-parameters: grid, random or TPE, with pruning."),
    },
    "Look": {
        "status": ("hpcnn.cli.status", "Show what became of runs and jobs, the newest first."),
        "top": ("hpcnn.cli.top", "Watch runs live: states, images/s, accuracy, time left."),
        "runs": ("hpcnn.cli.runs", "Show many runs side by side, with the settings in which they differ."),
        "logs": ("hpcnn.cli.logs", "Show the log of a run, as it is or as it grows."),
        "plot": ("hpcnn.cli.plot", "Draw a picture of a run, and print the name of its file."),
        "tensorboard": ("hpcnn.cli.tensorboard", "Show the TensorBoard logs of runs, and the tunnel to them."),
        "profile": ("hpcnn.cli.profile", "Show what the recorded steps of a run spent their time on."),
    },
    "Machine": {
        "sites": ("hpcnn.cli.sites", "List, show, check and start the profiles of machines."),
        "container": ("hpcnn.cli.container", "Build container images, and check whether one fits a machine."),
        "bench": ("hpcnn.cli.bench", "Measure the machine: what summing gradients costs, and its ceilings."),
        "tune": ("hpcnn.cli.tune", "Find the settings that make a network train fastest here, and keep them."),
    },
}
COMMANDS = {
    **{name: facts for group in GROUPS.values() for name, facts in group.items()},
    "record": ("hpcnn.cli.record", "Serve job scripts: close a record, start a worker."),
}


_HELP = ["-h", "--help"]
# Between which widths help is as wide as the terminal; the lower one is click's.
_LEAST_COLUMNS, _MOST_COLUMNS = 50, 100
# Where a context keeps the words of the command line.
_TYPED = "hpcnn.typed"

# A longer message would push away what is above it; a value in it may be as long as a file.
_LONGEST = 5000


class _Message(click.ClickException):
    """One of hpcnn's own errors for click: one message and an exit status."""

    def __init__(self, error: HpcnnError) -> None:
        text = visible(str(error))
        super().__init__(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
        self.exit_code = error.exit_code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message; on a terminal in colour, and folded at spaces."""
        if file is not None or not sys.stderr.isatty():
            super().show(file)
            return
        from hpcnn.util.table import note

        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        note(self.format_message(), err=True, after=len("Error: "))


def _from_system(error: OSError) -> HpcnnError:
    """Return what the operating system refuses: a mistake of the user's where a name cannot be one, else a failure."""
    from hpcnn.util.files import reason_of

    place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    kind = UsageError if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ENOTDIR, errno.EISDIR) else HpcnnError
    return kind(f"{place}{reason_of(error)}")


class _Folded(click.UsageError):
    """One of click's errors, folded at spaces, with what click says above it."""

    def __init__(self, error: click.UsageError) -> None:
        from hpcnn.util.table import folded, width

        before = " " * len("Error: ")
        text = folded(before + visible(error.format_message()), width(err=True))
        super().__init__(text.removeprefix(before), error.ctx)


class LazyGroup(click.Group):
    """A group that lists its commands by name, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        command.name = cmd_name  # not that of its function, for tools that read the tree of commands
        if "_HPCNN_COMPLETE" in os.environ:
            from hpcnn.cli.complete import install

            install(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing any, and options."""
        from click.shell_completion import CompletionItem

        lines = {name: line for group in GROUPS.values() for name, (_, line) in group.items()}
        found = [CompletionItem(name, help=line) for name, line in lines.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        for heading, group in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_, line) in group.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before the command, keep all of them for messages, and set the width of help.

        click would find the same width with ``shutil``, which loads the libraries of all compressors.
        """
        ctx.meta[_TYPED] = tuple(args)
        if ctx.terminal_width is None and any(word in args for word in _HELP):
            from hpcnn.util.table import columns

            ctx.terminal_width = max(min(columns(), _MOST_COLUMNS) - 2, _LEAST_COLUMNS)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command as click does, with a suggestion for a mistyped one, and with the user's defaults."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise _Message(
                unknown_value("command", args[0], [c for c in COMMANDS if c != "record"], see="hpcnn --help")
            )
        if args and not ctx.resilient_parsing and not _asks_for_help(args):
            from hpcnn.cli.defaults import give

            give(ctx, args[0])
        return super().resolve_command(ctx, args)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options before a command; ``--help`` and ``--version`` print, and end here."""
        with _messages():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; print a message instead of a traceback for hpcnn's own errors and the system's."""
        with _messages():
            return super().invoke(ctx)


@contextlib.contextmanager
def _messages() -> Iterator[None]:
    """Turn errors of the user's, of hpcnn's and of the system's into messages."""
    for stream in (sys.stdout, sys.stderr):
        printable(stream)
    try:
        yield
    except HpcnnError as error:
        raise _Message(error) from error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.NoSuchOption as error:
        raise _Message(_unknown_option(error)) from error
    except click.UsageError as error:
        if not sys.stderr.isatty():
            raise
        raise _Folded(error) from error
    except OSError as error:
        from hpcnn.util.user_code import of_others

        if error.errno == errno.EPIPE or of_others(error):
            raise  # click ends quietly where nobody reads any more; a mistake in a user's own code shows its line
        raise _Message(_from_system(error)) from error
    except (OverflowError, RecursionError, UnicodeError, MemoryError, EOFError) as error:
        from hpcnn.util.user_code import of_others

        if of_others(error):
            raise
        if isinstance(error, UnicodeEncodeError):
            raise _Message(UsageError(f"{error.object!r}: no name here can have such characters")) from error
        raise _Message(HpcnnError(f"{type(error).__name__}: {error}")) from error
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        raise SystemExit(130) from None  # 128 + SIGINT, as shells report it; click's own is 1


def _unknown_option(error: click.NoSuchOption) -> UsageError:
    from hpcnn.cli.mistyped import unknown_option

    return unknown_option(error, error.ctx.meta.get(_TYPED, ()) if error.ctx else ())


def _asks_for_help(args: list[str]) -> bool:
    """Return whether the words are a command and --help: help shows no defaults of the user's, and is not to wait."""
    return args[-1] in _HELP and not any(word.startswith("-") for word in args[:-1])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": _HELP, "max_content_width": _MOST_COLUMNS},
    epilog="\b\nExample:\n  hpcnn submit --site local --ntasks 2 --model psc-cnn-dropout --epochs 3",
)
@click.version_option(__version__, prog_name="hpcnn")
def main() -> None:
    """Train Keras networks on HPC clusters, and measure honestly whether it scales."""
