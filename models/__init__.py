"""Real-time portrait segmentation networks, their training, and one trained checkpoint."""
