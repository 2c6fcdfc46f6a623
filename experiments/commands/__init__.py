"""The commands of `spt`, a file a group. Each imports what it needs when it runs, so that --help is quick."""
