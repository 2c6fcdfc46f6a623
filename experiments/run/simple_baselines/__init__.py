"""What a run stands beside: answers to the same rows that need no prompt, and their scores."""
