"""Stage 2: asking LLMs for the descriptions that the store lacks; beside it, stage 1.

request    what to ask, whom, within which bounds
run        all of it: generate, dry_run
plan       what there is to do and what it will take
cells      one LLM's cells: judged, settled, asked for again
questions  what is asked, and asked again
verdicts   whether a reply will do
engine     one request after the other until there is a reply
limits     what holds a run back: rate, concurrency, money
ledger     what a run writes into the store while it asks
workers    workers, the heartbeat of a run, signals
batch      the same through a provider's batches
summary    how far a run is, and what it did
progress   how that is shown
"""
