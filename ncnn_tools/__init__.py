"""A library on ncnn's model files: convert, optimize, calibrate, quantize, run. Needs no torch and no phone."""
