"""What cannot be answered about code."""


class CodeChanged(RuntimeError):
    """A file was changed after it was imported: its text is not what runs here."""


class UnknownDefinition(LookupError):
    """There is no such definition in the package's files."""
