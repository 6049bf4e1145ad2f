"""What a saliency method must and must not depend on: the network's parameters, and a shift that it is blind to."""
