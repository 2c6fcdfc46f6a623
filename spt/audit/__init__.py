"""What a folder that others made holds, told without loading any of it."""
