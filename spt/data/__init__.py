"""Rows from a hub name, local files or a package, split, encoded and batched."""
