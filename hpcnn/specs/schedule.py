"""Parse ``--lr-schedule``, the learning rate as a function of the epoch. Pure."""

from __future__ import annotations

from hpcnn.util.errors import bad_value

_EXPECTED = (
    "step:N:GAMMA (times GAMMA every N epochs), milestones:N,N,...:GAMMA (after these epochs), exponential:GAMMA "
    "(every epoch, smoothly), cosine or cosine:SHARE (down to a share of it at the end)"
)


def parse_schedule(text: str) -> tuple[str, list[int], float]:
    """Return the kind of a schedule, its epochs and its factor; the kinds are those of ``rates.schedule``.

    Raises UsageError for an invalid text.
    """
    kind, *parts = text.split(":")
    try:
        if kind == "cosine" and len(parts) <= 1:
            share = float(parts[0]) if parts else 0.0
            if 0 <= share <= 1:
                return kind, [], share
        if kind == "exponential" and len(parts) == 1 and 0 < float(parts[0]) <= 1:
            return kind, [1], float(parts[0])
        if kind in ("step", "milestones") and len(parts) == 2 and 0 < float(parts[1]) <= 1:
            epochs = [int(part) for part in parts[0].split(",")]
            rising = all(a < b for a, b in zip([0, *epochs], epochs, strict=False))
            if rising and (kind == "milestones" or len(epochs) == 1):
                return kind, epochs, float(parts[1])
    except ValueError:
        pass
    raise bad_value("--lr-schedule", text, _EXPECTED)
