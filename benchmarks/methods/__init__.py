"""Methods side by side, each at the learning rate that dev chose for it."""
