"""Notices files of data that are replaced, written or removed while a training reads them."""

from __future__ import annotations

from hpcnn.data.copies import copy_of
from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.rundir.staging import Original, stamp_of_files, stamp_of_folders
from hpcnn.specs.train import TrainSpec
from hpcnn.util.text import first_few
from hpcnn.zoo.catalogue import originals_of

# More files than this are not asked for after every epoch.
_MOST = 1000


class Watch:
    """The files of a data set that is read as it goes, as they are when this is made: before the data is opened.

    Of a folder of pictures it is noticed that files come and go, and not that one is written anew. Copies on the node's
    own disk are nobody else's, and are not watched.
    """

    def __init__(self, spec: TrainSpec) -> None:
        found = originals_of(spec.data, spec.data_args)[:_MOST]
        originals = (Original(path.absolute(), depth) for path, depth in found)
        self._stamps = {one: _stamp(one) for one in originals if copy_of(one.path) == one.path}

    def only_if_read(self, data: DataSet) -> Watch:
        """Return this for a set that stays on disk; for one in memory, nothing is watched from now on."""
        if not isinstance(data, StreamedSet):
            self._stamps.clear()
        return self

    def changed(self) -> str | None:
        """Return a line on files that have changed, once for each change; None where none has."""
        now = {one: _stamp(one) for one in self._stamps}
        found = [str(one.path) for one, stamp in now.items() if stamp != self._stamps[one]]
        self._stamps = now
        if not found:
            return None
        return (
            f"{first_few(found)} changed while the training read it: what is learnt is of the old data and of the new; "
            "begin anew"
        )


def _stamp(original: Original) -> str:
    try:
        facts = original.path.stat()
        return stamp_of_folders(original) or stamp_of_files([("", facts.st_size, facts.st_mtime_ns)])
    except OSError as error:
        return f"{error.errno}"
