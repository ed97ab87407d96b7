"""How well the app tells manipulated from genuine clips: `python -m benchmarks.evidence --clips LIST.csv`."""
