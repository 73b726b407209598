"""Mirante."""
