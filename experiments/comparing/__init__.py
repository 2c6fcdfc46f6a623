"""Runs side by side: an experiment's grid, statistics, tables, pages, and the truth about small spaces."""
