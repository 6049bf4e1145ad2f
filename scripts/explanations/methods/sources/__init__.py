"""Where methods with passes of their own come from."""
