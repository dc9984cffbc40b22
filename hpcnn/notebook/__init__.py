"""For notebooks: ``hpcnn.run`` trains in processes of its own, and its ``hpcnn.Result`` shows itself."""
