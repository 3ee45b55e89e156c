"""What components promise: one file a kind, one function a promise."""
