"""The command line: one verb a file. Answers go to standard output, everything for people to standard error."""
