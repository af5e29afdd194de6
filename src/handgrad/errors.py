"""What is raised where an input cannot be used; everything else of ours may import it."""


class BadInput(ValueError):
    """An option, file, array or function that cannot be used.

    >>> from handgrad import Config
    >>> try:
    ...     Config(hidden=0)
    ... except BadInput as error:
    ...     print(error)
    hidden must be a whole number of at least 1, got 0

    The text is one line: what must hold, what was given, what to do.
    """
