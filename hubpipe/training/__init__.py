"""Runs an Estimator, evaluates its checkpoints, stops and resumes."""
