"""``hpcnn search submit``: submit the workers of a search to Slurm. A dry run takes the same path up to writing."""

from __future__ import annotations

import click

from hpcnn.cli.after import after_option
from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.output import say
from hpcnn.cli.search_options import folder_of, read_search, search_options


@click.command(
    "submit",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn search submit psc_hparams --site narval --account def-prof --dry-run\n"
        "  hpcnn search submit my_search.toml --site narval --workers 8 --time 3:00:00"
    ),
)
@click.argument("file")
@click.option("--site", required=True, help="Site profile: the cluster.")
@search_options
@click.option(
    "--workers",
    "count",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Workers: each is a task of a job array, and trains one trial at a time.",
)
@after_option
@click.option("--dry-run", is_flag=True, help="Print the workers' script, and do nothing else.")
@click.option("--test-only", is_flag=True, help="Ask Slurm when the workers would start, and submit nothing.")
def command(
    file: str,
    site: str,
    folder: str | None,
    changes: tuple[str, ...],
    count: int,
    after: str | None,
    dry_run: bool,
    test_only: bool,
    **options: object,
) -> None:
    """Search FILE on a cluster: a path, or the name of a packaged search (psc_hparams).

    Each worker asks for the resources of one trial, and trains one trial after another until none is left or its time
    is up. The same command again goes on with what is missing by then.
    """
    from hpcnn.jobs.submission import whole_submission
    from hpcnn.scheduler import scheduler_of
    from hpcnn.search.run import check
    from hpcnn.search.storage import begin
    from hpcnn.search.submit import settle, submit, submitting_lock, workers
    from hpcnn.util.lock import lock

    search = read_search(file, changes, options)
    place = folder_of(search, folder)
    job = workers(search, place, site, min(count, search.trials))
    for warning in job.warnings:
        click.echo(f"Warning: {warning}", err=True)
    scheduler = scheduler_of(job.site.scheduler)
    waits_for = scheduler.after(after) if after else []
    if dry_run:
        say(job.script, nl=False)
        return
    if test_only:
        click.echo(scheduler.would_start(job.script, waits_for))
        return
    check(search, site)
    study = begin(search, place)
    left = search.trials - sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    if left <= 0:
        say(f"{search.name}: all {search.trials} trials have ended, in {place}")
        return
    with lock(submitting_lock(place)), whole_submission():
        found = settle(place)
        if found:
            click.echo(f"found again after an interrupted submission: job {', '.join(found)}", err=True)
        new = min(count, left) - sum(found.values())
        ids = [*found, *(submit(workers(search, place, site, new), waits_for) if new > 0 else [])]
        say(f"{search.name}: {left} trials to do, {min(count, left)} workers, job {', '.join(ids)}, in {place}")
