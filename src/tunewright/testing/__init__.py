"""Check components against their contracts, ours and yours; a tiny backbone and pretended plug-ins for tests."""

from tunewright.testing.conformance import Case, Subject, cases
from tunewright.testing.plugins import pretend_installed
from tunewright.testing.tiny import tiny_backbone

__all__ = ["Case", "Subject", "cases", "pretend_installed", "tiny_backbone"]
