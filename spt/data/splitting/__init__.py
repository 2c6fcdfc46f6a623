"""Which rows a split or a fold gets."""
