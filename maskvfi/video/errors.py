"""The one error a person sees when a file cannot be read or written: one line that names file and cause."""


class MediaError(ValueError):
    """A file, folder or pipe that cannot be used. The message is one line: what, and why."""
