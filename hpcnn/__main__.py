"""``python -m hpcnn`` is the same as the ``hpcnn`` command."""

from hpcnn.cli.main import main

if __name__ == "__main__":
    main()
