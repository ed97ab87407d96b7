"""How well one set of weights tells manipulated from genuine video: `python -m training.evaluate WEIGHTS LIST`."""
