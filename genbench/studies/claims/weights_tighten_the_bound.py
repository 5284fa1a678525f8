"""Importance-weighted training with 1, 5 and 50 draws, all measured by one bound."""

SENTENCE = "Training with more importance-weighted draws gives a better model at equal updates."
SAID_BY = "Burda, Grosse, Salakhutdinov (2016), table 1"
DECIDED_BY = "one bound for all, with 1,000 draws, on binary MNIST, as their paper compares with 5,000"
CARRIES = "to equal numbers of updates; 50 draws cost about ten times the time of one."
OF_BOUNDS = True
PAIRS = (
    ("mnist-binary", "nll", "iwae-50", "iwae-5"),
    ("mnist-binary", "nll", "iwae-5", "iwae-1"),
)
