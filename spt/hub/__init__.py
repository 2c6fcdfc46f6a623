"""Saved prompts on the Hugging Face hub: fetched and sent there, with the card that it shows."""
