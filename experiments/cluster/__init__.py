"""Ray: connecting to a cluster, and what its workers share."""
