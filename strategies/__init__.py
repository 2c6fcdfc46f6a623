"""How the prompt layers are chosen, in NNI terms."""
