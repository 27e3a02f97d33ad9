"""The commands: `models.py` (demo, compile, run, accuracy), `files.py` (plot, verify, inspect,
disassemble), `specification.py` (targets, isa); `options.py` has the options that they share."""
