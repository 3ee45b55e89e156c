"""A bundle made smaller and faster, step by step, and each step held against the original."""
