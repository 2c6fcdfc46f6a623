"""What a GPU makes of it: steps in bf16, the largest batch, several trials on one card."""
