"""What is built on the engine: the Python API, and the estimator for scikit-learn."""
