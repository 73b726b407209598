"""Answers for more images than one machine can take: a plan of parts, what a worker does with one, and Ray Data in between."""
