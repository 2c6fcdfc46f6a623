"""Records without labels: read in parts, and written with their answers."""
