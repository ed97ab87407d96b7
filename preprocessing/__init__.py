"""A file becomes tracks of faces."""
