"""The network for any data set that has none of its own. Apart from the catalogue, which takes longer to load."""

DEFAULT_MODEL = "scinet-cnn1"
