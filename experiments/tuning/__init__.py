"""Tuning studies: Ray Tune runs the trials, Optuna chooses their values."""
