"""The parts of `lsmseg_model.train`: options, one step, what is kept."""
