"""``hpcnn train``: train as one rank; started by hand for a serial run, by a job script for several ranks."""

from __future__ import annotations

import sys

import click

from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.options import given_options, option_name, spec_from_options, spec_options
from hpcnn.specs.train import TrainSpec, check_strategy, check_weights, check_weights_file


@click.command(
    cls=GroupedCommand,
    epilog="\b\nExample:\n  hpcnn train --run-dir runs/first --model psc-cnn-dropout --epochs 3",
)
@click.option(
    "--run-dir",
    required=True,
    type=click.Path(file_okay=False),
    help="The run directory itself: everything the run writes goes there.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the state that a stopped run left in the run directory, if there is one; keep one every epoch.",
)
@spec_options(TrainSpec)
def command(run_dir: str, resume: bool, **options: object) -> None:
    """Train a model as one rank and write its record to the run directory.

    Options that you leave out are those of the lecture for that network. For several ranks, `hpcnn submit` writes the
    script that starts this command under mpirun or srun.

    SIGUSR2, SIGTERM or a file `stop` in the run directory stop it within seconds: rank 0 writes its state, and the
    command exits with status 75. The same command with --resume goes on as if nothing had happened.
    """
    from hpcnn.specs.numpy_options import check_options
    from hpcnn.zoo.catalogue import check_arguments as check_options_of_data
    from hpcnn.zoo.catalogue import check_name, check_staged
    from hpcnn.zoo.registry import check_arguments
    from hpcnn.zoo.registry import check_name as check_model_name

    # raises for a mistake before TensorFlow is imported and before the run directory is made
    spec = spec_from_options(TrainSpec, given_options(TrainSpec, options))
    check_strategy(spec, option_name)
    check_weights(spec, option_name)
    check_model_name(spec.model)
    check_arguments(spec.model, spec.model_args)
    check_options(spec)
    check_name(spec.data)
    check_options_of_data(spec.data, spec.data_args)
    check_staged(spec.data, spec.data_args)
    if not resume:  # the state of an attempt that was stopped has all that it needs
        check_weights_file(spec)
    from hpcnn.rundir.layout import STOPPED_EXIT_STATUS
    from hpcnn.train.session import train

    if not train(spec, run_dir, log=click.echo, resume=resume):
        sys.exit(STOPPED_EXIT_STATUS)
