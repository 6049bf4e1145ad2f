"""Pixel removal."""
