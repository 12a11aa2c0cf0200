class PerfError(Exception):
    """Something a person must put right; its text says what and where."""
