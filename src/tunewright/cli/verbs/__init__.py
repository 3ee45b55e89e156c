"""One verb a file: its docstring is its help, its `command` its options."""
