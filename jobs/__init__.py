"""Work that nobody sits in front of: whole folders, and more than one machine."""
