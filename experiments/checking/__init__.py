"""What `spt check` says of a config and its data, before anything is trained."""
