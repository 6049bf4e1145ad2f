"""The library that the workflow's steps share: decomposition, saliency, removal, statistics and their files."""
