"""The prediction server: images over HTTP in, JSON out, for one or several models."""
