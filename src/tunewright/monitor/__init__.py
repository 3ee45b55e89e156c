"""Whether what a bundle is asked is still what it was measured on: told by its answers, without labels, keeping no text."""
