"""GANs against VAEs, by the share of their samples that lie where data do."""

SENTENCE = "A GAN's samples are sharper than a VAE's."
SAID_BY = "Larsen et al. (2016); Goodfellow (2016), section 3.2.5; nearly every lecture on the two"
DECIDED_BY = "precision in the features of the digits' classifier: blurred digits do not lie where real ones do"
CARRIES = "to samples drawn from the decoder's distribution, not its means, of 8x8 digits, and one training of each."
PAIRS = tuple(
    ("digits", "precision[digits-cnn]", better, worse) for better in ("gan", "dcgan") for worse in ("vae", "conv-vae")
)
