"""From rows to token ids, and to batches of them."""
