"""The tasks, one folder each: all that depends on what is asked of an image (mirante.task says what a folder must have)."""

NAMES = ("classify", "grade", "tree", "tag", "read")
"""The tasks by name, each in the folder of that name. To add one, add a folder and its name here."""
