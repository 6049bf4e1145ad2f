"""Networks: files, biases, devices, decisions, evaluation, decay, survey."""
