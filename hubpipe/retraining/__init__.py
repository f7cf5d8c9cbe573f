"""The scheduled job: retrain, judge, publish, and tell a scheduler what came of it."""
