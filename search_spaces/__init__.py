"""What can be chosen, in NNI terms: which layers of a transformer get something new, and what."""
