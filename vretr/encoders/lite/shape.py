"""Sizes and preprocessing of `lite`, for whoever must not import torch."""

from vretr.images import Preprocessing

FEATURES = 1280  # pooled features of EfficientNet-Lite0
STAGES = 424  # its four middle stages, pooled
CLASSES = 1000  # ImageNet-1K
COLOUR_BINS = 128  # 4x4x4 RGB cells of the whole picture and of its centre
SEEN = FEATURES + STAGES + COLOUR_BINS  # what the image head reads
TEXT = 384  # MiniLM sentence vector
MEMBER = 256  # width of one head's vectors
LEARNED = 256  # width of the learned part of the joint space: 255, and how easily it is found
NAMED = 384  # width of the class-name part
DIM = LEARNED + NAMED
EVERYDAY = 512  # captions that tell how easily a photo is found

PREPROCESSING = Preprocessing(
    size=224,
    # As TensorFlow trained these weights: (value - 127) / 128. ImageNet's usual mean and deviation,
    # which most ports name, nearly double the contrast and cost 7 points of the classifier's top 1.
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
    interpolation="bicubic",
    # The whole picture: at the margins may lie what somebody searches for, and the photos that
    # the heads were trained on are squashed to squares already.
    fit="squash",
)
