"""Boards: records become pages. Nothing is measured here."""
