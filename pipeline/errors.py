"""The base of the exceptions that stop a run."""


class EventsiftError(Exception):
    """A run cannot go on; the message says what was found, where, and the way out."""
