"""What to do about a fault, where many checks say the same."""

REBUILD = "build the wheel anew with a maintained build backend"
REPAIR = "repair the wheel with `wheelkit repair`"
