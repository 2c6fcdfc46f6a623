"""Training prompts and head: options, recipe, callbacks, the loop, and checkpoints without pickle."""
