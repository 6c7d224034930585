"""Mistakes a person can make and mend."""


class InputError(ValueError):
    """Something a person gave is wrong; the message names it, says what is wrong and what to do.

    Scripts print the message alone and exit with 2; a traceback is kept for our own mistakes.
    """
