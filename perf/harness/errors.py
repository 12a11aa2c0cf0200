class PerfError(Exception):
    """An error that a person must correct; its text says what and where."""
