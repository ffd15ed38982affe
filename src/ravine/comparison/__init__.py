"""Many runs -> a verdict: search, protocol, statistics, store."""
