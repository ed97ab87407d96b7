"""Speed, memory and accuracy; each file is one command that prints a table."""
