"""The functions of CyFES 4.5, with its names and arguments."""
