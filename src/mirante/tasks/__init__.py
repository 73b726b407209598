"""The tasks, a folder each: everything that depends on what is asked of an image (mirante.task says what a folder must have)."""

NAMES = ("classify", "read")
"""The tasks by name, each in the folder of that name. Another one is a folder, and its name here."""
