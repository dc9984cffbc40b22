"""Every picture. Draws tables and networks; computes neither."""
