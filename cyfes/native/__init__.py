"""The compiled part: where it is, the devices it computes on, and arrays on a GPU."""
