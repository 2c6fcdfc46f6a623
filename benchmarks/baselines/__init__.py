"""Methods that prompts are compared with, trained by the same loop on the same batches."""
