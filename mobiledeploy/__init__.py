"""From a trained PyTorch checkpoint to measured ncnn models on an Android phone."""

from importlib.metadata import version as _version

__version__ = _version("mobiledeploy")
