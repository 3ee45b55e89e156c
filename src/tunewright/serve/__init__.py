"""Serve bundles over HTTP, without torch where the bundle's runtime needs none."""
