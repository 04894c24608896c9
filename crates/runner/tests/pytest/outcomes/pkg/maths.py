def double(x):
    """Twice as much.

    >>> double(2)
    4
    """
    return 2 * x


def triple(x):
    """A wrong promise.

    >>> triple(2)
    7
    """
    return 3 * x
