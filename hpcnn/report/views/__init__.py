"""What `hpcnn scaling-report` and `hpcnn compare` show: the tables for people, and every format they are written in."""
