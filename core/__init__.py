"""Words every room shares: records, errors, settings, weights."""
