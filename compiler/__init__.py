"""The compiler: from a framework's model to a NEFF."""
