"""A library on ncnn model files: convert, optimize, calibrate, quantize, run. Needs no torch and no phone."""
