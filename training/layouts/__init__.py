"""The trees that data sets come in, and what their names and lists say of each file."""
