"""Display the progress of runs: a bar with the remaining time on a terminal, a line per run elsewhere."""

from __future__ import annotations

from hpcnn.util.table import console


class Progress:
    """Count runs as they end, on standard error."""

    def __init__(self, count: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = console(stderr=True)
        self._count, self._done = count, 0
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=self._console,
            disable=not self._console.is_terminal,
            # one run takes minutes: the estimate must include the first ones
            speed_estimate_period=24 * 3600.0,
        )
        self._task = self._bar.add_task("", total=count)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def started(self, name: str) -> None:
        """Show the name of the running one."""
        self._bar.update(self._task, description=name)

    def ended(self, name: str, how: str) -> None:
        """Count one, and print how it ended."""
        self._done += 1
        self._bar.update(self._task, advance=1)
        self._console.print(f"[{self._done}/{self._count}] {name}  {how}", markup=False, soft_wrap=True)
