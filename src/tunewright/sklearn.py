"""Tunewright for scikit-learn: `from tunewright.sklearn import TextClassifier`."""

from tunewright.apps.sklearn import TextClassifier

__all__ = ["TextClassifier"]
