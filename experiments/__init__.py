"""What is run: configurations, the command line, the trial of an NNI experiment."""
