"""The machine, running: function and time of a NeuronCore."""
