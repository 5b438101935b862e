"""The C++ benchmark binary that runs on the device, and its build."""
