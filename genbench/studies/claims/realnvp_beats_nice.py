"""RealNVP against NICE, paired over test examples."""

SENTENCE = "RealNVP models images better than NICE."
SAID_BY = "Dinh, Sohl-Dickstein, Bengio (2017), and every lecture on flows since"
DECIDED_BY = "the bound on bits/dim of the two flows on images, and their density in the plane"
CARRIES = "to these two sizes of image and these budgets; both flows have about as many weights."
PAIRS = (
    ("digits", "nll", "realnvp", "nice"),
    ("patches", "nll", "realnvp", "nice"),
    ("ring8", "nll", "realnvp", "nice"),
)
