"""Site profiles: what differs between clusters is a key of a TOML file, never ``if site ==`` in code or templates."""
