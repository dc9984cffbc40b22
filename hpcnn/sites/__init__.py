"""Sites: what differs between machines, as keys of TOML profiles, never as ``if site ==`` in code or templates."""
