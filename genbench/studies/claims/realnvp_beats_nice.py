"""RealNVP against NICE, paired over test examples."""

SENTENCE = "RealNVP reaches better bits/dim than NICE."
SAID_BY = "Dinh, Sohl-Dickstein, Bengio (2017), and every lecture on flows since"
DECIDED_BY = "bits/dim of images, for flows a bound by added noise, in papers as here; and the density of a ring"
CARRIES = (
    "to these bounds, three sets of small images and these budgets; both flows have about as many weights. What the "
    "likelihoods behind two bounds are is not known; the density of the ring is exact."
)
OF_BOUNDS = True
PAIRS = (
    ("digits", "nll", "realnvp", "nice"),
    ("patches", "nll", "realnvp", "nice"),
    ("mnist", "nll", "realnvp", "nice"),
    ("ring8", "nll", "realnvp", "nice"),
)
