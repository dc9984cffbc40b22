"""For notebooks: ``hpcnn.run`` trains in separate processes, and a notebook shows the ``hpcnn.Result`` as a table."""
