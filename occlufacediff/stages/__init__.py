"""What each workflow rule does for one shard; the scripts call these and nothing else."""
