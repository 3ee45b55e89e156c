"""Steps of a transformer that libraries leave slow on a CPU, written in C++ and compiled for the machine at hand."""
