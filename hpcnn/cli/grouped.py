"""Commands whose help shows the options of specs in groups, under headings."""

from __future__ import annotations

import click

RESOURCES, SOFTWARE = "Resources", "Software"
NETWORK, DATA, TRAINING, OUTPUT = "Network", "Data", "Training", "Output"
# The order in which help shows the groups, after the options without one.
_ORDER = (RESOURCES, SOFTWARE, NETWORK, DATA, TRAINING, OUTPUT)
# Of the options of a training, those that are not about how it trains.
_OF_TRAINING = {
    **dict.fromkeys(("model", "model_args", "weights", "weights_except", "freeze"), NETWORK),
    **dict.fromkeys(("data", "data_args", "samples", "expand", "test_samples", "pixel_scale"), DATA),
    **dict.fromkeys(("shuffle", "cache", "image_size", "skip_bad"), DATA),
    **dict.fromkeys(("augment", "augmentation"), DATA),
    **dict.fromkeys(("tensorboard", "profile", "checkpoint", "checkpoint_best", "evaluate_training"), OUTPUT),
}
_OF_SPECS = {"Resources": RESOURCES, "SoftwareSpec": SOFTWARE}

# Of the first sentence of a command, which is shorter.
_LONGEST = 1000


def group_of(cls: type, field: str) -> str:
    """Return the group of the option of a spec's field."""
    return _OF_SPECS.get(cls.__name__) or _OF_TRAINING.get(field, TRAINING)


class GroupedOption(click.Option):
    """An option with the heading below which help shows it."""

    group = ""


class WholeSentences(click.Group):
    """A group whose help shows the whole first sentence of each command, where click cuts it off.

    It says of a mistyped command which one was meant, as ``hpcnn`` itself does.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command as click does. Raises UsageError for one that the group does not have."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            from hpcnn.cli.mistyped import unknown_command

            raise unknown_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(_LONGEST)) for name, command in commands])


class GroupedCommand(click.Command):
    """A command whose help shows options under the headings of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options without a group, then a section for each group."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                group = parameter.group if isinstance(parameter, GroupedOption) else ""
                found.setdefault(group, []).append(record)
        for group in ("", *_ORDER):
            if group in found:
                with formatter.section(group or "Options"):
                    formatter.write_dl(found[group])
