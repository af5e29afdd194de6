"""What is raised where an input cannot be used; everything else of ours may import it."""


class BadInput(ValueError):
    """An option, file, array or function that cannot be used.

    The text is one line: what must hold, what was given, what to do.
    """
