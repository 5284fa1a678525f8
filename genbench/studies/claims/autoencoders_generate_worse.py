"""Samples of a Gaussian fitted to the codes of an autoencoder, against those of models that learn to sample."""

SENTENCE = "VAEs, GANs and autoregressive models generate better samples than plain autoencoders."
SAID_BY = "Kingma, Welling (2014), and every lecture that introduces the VAE"
DECIDED_BY = (
    "the Fréchet distance and a classifier two-sample test in the features of the digits' classifier, 500 samples"
)
CARRIES = (
    "to a Gaussian fitted to the codes, the usual way to sample an autoencoder; other densities of codes may do better."
)
PAIRS = tuple(
    ("digits", metric, better, worse)
    for metric in ("fd[digits-cnn]", "c2st[digits-cnn]")
    for better in ("conv-vae", "gan", "gated-pixelcnn")
    for worse in ("autoencoder", "sparse-autoencoder", "layerwise-autoencoder")
)
