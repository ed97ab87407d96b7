"""Scores become a verdict."""
