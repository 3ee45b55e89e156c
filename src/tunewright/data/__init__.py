"""Read, split, check and account for data. No torch."""
