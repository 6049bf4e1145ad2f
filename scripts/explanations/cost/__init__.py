"""What an experiment costs."""
