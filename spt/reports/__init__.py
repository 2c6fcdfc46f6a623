"""Pages for people: the report of a run, and the parts that all pages are made of."""
