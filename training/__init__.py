"""How every weights file of our own was made."""
