"""A run: planned cells become records."""
