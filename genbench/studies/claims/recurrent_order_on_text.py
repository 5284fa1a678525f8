"""Recurrent language models, read as one stream."""

SENTENCE = "On text, an LSTM beats a plain RNN, and a stacked LSTM beats one layer."
SAID_BY = "Graves (2013); Karpathy, Johnson, Fei-Fei (2016)"
DECIDED_BY = "bits per character of the test text as one stream, by batches of consecutive windows"
CARRIES = "to one million characters of one author and a few minutes of training."
PAIRS = (
    ("tinyshakespeare", "nll-stream", "lstm", "rnn"),
    ("tinyshakespeare", "nll-stream", "stacked-lstm", "lstm"),
)
