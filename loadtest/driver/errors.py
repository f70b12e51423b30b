"""Why a run does not begin."""


class Cannot(Exception):
    """What was asked for cannot be tried; the text is for people."""


class NotStarted(Cannot):
    """A process ended, or was not ready in time. What it said is in the log that is named."""
