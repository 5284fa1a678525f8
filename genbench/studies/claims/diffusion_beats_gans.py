"""Diffusion and flow matching against GANs, by the Fréchet distance of samples."""

SENTENCE = "Diffusion models beat GANs in the quality of samples."
SAID_BY = "Dhariwal, Nichol (2021), by the title of their paper"
DECIDED_BY = "the Fréchet distance in the features of the digits' classifier, 500 samples"
CARRIES = "to 8x8 digits and models of minutes of training; their paper is of large pictures and weeks."
PAIRS = tuple(
    ("digits", "fd[digits-cnn]", better, worse) for better in ("ddpm", "flow-matching") for worse in ("gan", "dcgan")
)
