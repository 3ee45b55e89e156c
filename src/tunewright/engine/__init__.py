"""Runs a recipe's stages in order, so that a run can be stopped anywhere and go on."""
