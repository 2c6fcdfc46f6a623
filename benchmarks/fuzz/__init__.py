"""Valid inputs with one thing damaged: each must be accepted or refused by an InputError."""
