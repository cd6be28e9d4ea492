"""The error that stops a run, and how a message shows a value."""


class EventsiftError(Exception):
    """A run cannot go on; the message says what was found, where, and the way out."""


def shown(value: object, limit: int = 60) -> str:
    """Returns the `repr` of a value for a message; the middle is cut if it exceeds `limit`."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 20]}…{text[-18:]}"
