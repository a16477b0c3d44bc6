"""What goes wrong in words for the person at the terminal, and the exit code it ends with."""


class VretrError(Exception):
    """A failure with one sentence that says what happened and what to do. Exit code 1."""

    exit_code = 1


class UsageError(VretrError):
    """What was asked cannot be meant: an unknown name, an impossible value. Exit code 2."""

    exit_code = 2


class MismatchError(VretrError):
    """Index, encoder or data are missing or do not fit one another. Exit code 4."""

    exit_code = 4
