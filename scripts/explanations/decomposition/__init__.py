"""The exact decomposition of a score at every layer of a network that torch.fx traces.

To be read in this order: `operations` (what the nodes of a graph are), `tracing` (a network as a graph), `modules` and
`rewriting` (changes to the graph), `layouts` and `positions` (where values lie in the image), `closed_forms`,
`forward_mode` and `implicit_biases` (what an operation adds by itself), `shares` and `layers` (the network's layers and
biased operations), `reductions` (sums over channels), `decomposition` (all attributions, and Eq. 13),
`completeness` (the gate that they pass). `layer_bias` (Eq. 12) needs no torch.
"""
