"""Recurrent models over rows and diagonals against masked convolutions."""

SENTENCE = "PixelRNNs and the gated PixelCNN reach better likelihoods than the first PixelCNN."
SAID_BY = "van den Oord et al. (2016), table 5; van den Oord et al. (2016b)"
DECIDED_BY = "exact bits/dim on the same test images, paired"
CARRIES = "to 8x8 images, where a few masked convolutions see the whole image, and one training of each."
PAIRS = (
    ("digits", "nll", "row-lstm", "pixelcnn"),
    ("digits", "nll", "diagonal-bilstm", "pixelcnn"),
    ("digits", "nll", "gated-pixelcnn", "pixelcnn"),
)
