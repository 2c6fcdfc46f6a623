"""What `spt init` makes of a file that nobody has described: its format, its columns, and a config for it."""
