"""One run: its keys, its folder, its search and training, and what it found."""
