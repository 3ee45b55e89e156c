"""The one loop, and what it needs: batches, precision, parameter groups, checkpoints, the record of metrics."""
