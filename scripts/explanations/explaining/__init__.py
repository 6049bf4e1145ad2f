"""Explaining in memory: one image at a time, all that is found of it as one object; maps of any network and images."""
