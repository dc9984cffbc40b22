"""Jobs: render their scripts, submit them, wait for them, resume them. Must not import what trains."""
