"""Commands are killed at their writes and at random moments, repeated, and end as undisturbed ones do."""
