"""What an estimator needs to run from Python objects: parameters, rows, labels, and a fit without files."""
