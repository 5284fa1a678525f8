"""Training examples per second of masked convolutions, against recurrent steps over rows and diagonals."""

SENTENCE = "A PixelCNN trains faster than a PixelRNN, whose training takes a step for each row or diagonal."
SAID_BY = "van den Oord et al. (2016), section 3.5"
DECIDED_BY = "training examples per second of the training loop on one thread, batches as each was trained with"
CARRIES = (
    "to one thread of a processor and networks of 27,000 to 70,000 weights: on 8x8 images a Row LSTM takes eight steps "
    "only, and is no slower; a machine that computes a whole image at once gains more from convolutions."
)
PAIRS = (
    ("mnist-binary", "training-throughput", "pixelcnn", "row-lstm"),
    ("mnist-binary", "training-throughput", "pixelcnn", "diagonal-bilstm"),
    ("digits", "training-throughput", "pixelcnn", "row-lstm"),
    ("digits", "training-throughput", "pixelcnn", "diagonal-bilstm"),
)
