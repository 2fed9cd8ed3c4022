"""What ends a benchmark."""


class Failed(Exception):
    """Something that was measured did not do its work, so what it cost means nothing."""
