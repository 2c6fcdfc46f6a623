"""What a run found epoch by epoch, in the logs of the trackers that its configuration names."""
