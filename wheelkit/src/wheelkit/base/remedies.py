"""What to do about a fault, where many checks say the same."""

REBUILD = "build the wheel again with a build backend that is maintained"
REPAIR = "repair the wheel with `wheelkit repair`"
