"""``hpcnn container``: build a container image, print its path, and check its compatibility with a machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.grouped import WholeSentences
from hpcnn.cli.output import format_option, say
from hpcnn.util.table import Column, console, emit

_KIND = click.argument("kind", type=Choice(["cpu", "gpu", "ngc"]), default="cpu")
_COLUMNS = (
    Column("check", "Check"),
    Column("value", "Found"),
    Column("status", "Status"),
    Column("advice", "What to do"),
)


@click.group(cls=WholeSentences, epilog="Example:  hpcnn container build cpu")
def command() -> None:
    """Build and check container images (Apptainer) with TensorFlow, Horovod, MPI and hpcnn inside."""


@command.command("build", epilog="Example:  hpcnn container build cpu --output hpcnn-cpu.sif")
@_KIND
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Put the image at this path as well.")
@click.option("--force", is_flag=True, help="Build it anew although the cache has it.")
@click.option("--dry-run", is_flag=True, help="Print the command, exactly, and do nothing else.")
def build_command(kind: str, output: Path | None, force: bool, dry_run: bool) -> None:
    """Build an image and print its path.

    cpu is for CPUs, gpu for NVIDIA's GPUs; ngc is for these too, on NVIDIA's own TensorFlow image.

    The image is kept in the cache under a name made of all that goes into it: the definition, the versions, this
    hpcnn. The same content is built once. That for CPUs takes some 10 minutes on 2 cores, and 4 GB in
    $APPTAINER_TMPDIR (/tmp); those for GPUs take more.
    """
    from hpcnn.machine.container.build import build, copy_to, plan
    from hpcnn.machine.container.cache import other_images
    from hpcnn.machine.container.progress import Progress

    ready = plan(kind)
    if dry_run:
        click.echo(ready.shell())
        return
    with Progress(console(stderr=True)) as progress:
        image = build(ready, progress.line, force=force)
    if output is not None:
        copy_to(image, output)
    say(output or image)
    others = other_images(image)
    if others:
        size = sum(file.stat().st_size for file in others) / 1e6
        click.echo(f"{len(others)} other {kind} images, {size:.0f} MB, are in {image.parent}", err=True)


@command.command("path", epilog="Example:  hpcnn submit --container $(hpcnn container path cpu) --ntasks 2")
@_KIND
@click.pass_context
def path_command(ctx: click.Context, kind: str) -> None:
    """Print the path of a built image.

    This version of hpcnn builds that image (cpu, unless you name gpu or ngc). Exit status 1 if it is not built yet.
    """
    from hpcnn.machine.container.cache import image_path, other_images
    from hpcnn.machine.container.context import context_of
    from hpcnn.util.cache_dir import check_file

    image = image_path(context_of(kind))
    if image.exists():
        check_file(image)
        say(image)
        return
    click.echo(f"Error: the {kind} image is not built: hpcnn container build {kind}", err=True)
    for other in other_images(image):
        click.echo(f"an image of another content is there: {other}", err=True)
    ctx.exit(1)


@command.command("check", epilog="Example:  hpcnn container check hpcnn-cpu.sif --site narval")
@click.argument("image", type=click.Path(exists=True, path_type=Path))
@click.option("--site", "name", default="local", show_default=True, help="Site profile: how its jobs start ranks.")
@format_option
@click.pass_context
def check_command(ctx: click.Context, image: Path, name: str, fmt: str) -> None:
    """Say whether an image fits a site.

    Looks at what IMAGE has inside, and whether its MPI fits what starts the ranks. Run it on a login node of
    the site, with the modules of its jobs loaded. Exit status 1 where something does not fit.
    """
    from hpcnn.machine.container.compatibility import check_compatibility
    from hpcnn.machine.container.host import inspect_host
    from hpcnn.machine.container.inside import inspect_image
    from hpcnn.sites.load import load_site

    site = load_site(name)
    findings = check_compatibility(inspect_image(image, site), inspect_host(site), site)
    emit([dataclasses.asdict(finding) for finding in findings], fmt, _COLUMNS)
    ctx.exit(1 if any(finding.status == "error" for finding in findings) else 0)
