"""The parts of a run's report, one a file: each makes a section of what the run's folder holds."""
