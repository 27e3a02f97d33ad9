"""Random models against onnxruntime: `python -m tests.fuzz --models 2000 --seed 0`."""
