"""Removal operators: what a removed pixel becomes (§4)."""
