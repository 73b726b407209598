"""Watching a model in use: what it answered is logged, and compared with what it was tested on. Nothing here imports torch."""
