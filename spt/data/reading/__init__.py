"""From a hub name, files, a package or Python objects to raw tables, a split each."""
