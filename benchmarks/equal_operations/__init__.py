"""Methods at equal operations: the best on dev that each reaches within a budget."""
