"""Models that are told the class against models of one size that are not."""

SENTENCE = "Telling a model the class improves its samples."
SAID_BY = "Mirza, Osindero (2014); van den Oord et al. (2016b)"
DECIDED_BY = (
    "the Fréchet distance of all samples, their classes drawn alike: a model without classes has none per class"
)
CARRIES = "to ten balanced classes of digits and one training of each."
PAIRS = (
    ("digits", "fd[digits-cnn]", "conditional-gated-pixelcnn", "gated-pixelcnn"),
    ("digits", "fd[digits-cnn]", "conditional-image-transformer", "image-transformer"),
)
