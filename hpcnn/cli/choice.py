"""An option or argument that takes one of a few words, and says of a mistyped one which was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpcnn.util.errors import unknown_value

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # which takes no type before click 8.4


class Choice(_Choice):
    """A type of click like its Choice, with hpcnn's message where the value is none of the words."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises UsageError where it is none of the words."""
        if value in self.choices:
            return value
        name = param.opts[0] if isinstance(param, click.Option) else getattr(param, "human_readable_name", "value")
        raise unknown_value(name, value, self.choices)
