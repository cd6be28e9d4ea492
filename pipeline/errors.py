"""What stops a run, and how a value is shown in a message."""


class EventsiftError(Exception):
    """A run cannot go on; the message says what was found, where, and the way out."""


def shown(value: object, limit: int = 60) -> str:
    """The `repr` of a value for a message, cut in the middle when longer than `limit`."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 20]}…{text[-18:]}"
