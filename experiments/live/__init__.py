"""Where runs are while they go, read from their files, and how a terminal shows it."""
