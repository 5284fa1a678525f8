"""genbench: checkpoint -> model -> samples, log-likelihoods -> features -> metrics -> records -> leaderboard."""

__version__ = "0.1.0"
