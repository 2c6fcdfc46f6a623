"""NNI: an experiment driven from Python, the channel of its trials, and a tuner that asks Optuna."""
