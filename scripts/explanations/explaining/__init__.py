"""One image at a time: its attributions in memory, its maps measured by removal, all of it as one object."""
