"""Work that waits in a line, and work that nobody sits in front of: whole folders, and more than one machine."""
