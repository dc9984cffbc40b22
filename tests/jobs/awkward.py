"""Words that a shell would change if a job script did not quote them."""

AWKWARD = [
    "",
    " ",
    "-n",
    "--help",
    "--",
    "a\nb",
    "'",
    '"',
    "\\",
    "$HOME",
    "`id`",
    "$(id)",
    "é",
    "*",
    "~",
    "#",
    "!",
    ":",
    "{{ 1 }}",
    "\x1b",
]
