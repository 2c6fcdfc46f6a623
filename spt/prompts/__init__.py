"""Soft prompts: how they are made, mixed and carried through the layers."""
