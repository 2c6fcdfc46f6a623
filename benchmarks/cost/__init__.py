"""What a step and a search cost."""
