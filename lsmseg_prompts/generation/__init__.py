"""Stage 2: asking LLMs for the descriptions that the store lacks.

limits     what holds a run back: rate, concurrency, money
ledger     what a run writes into the store while it asks
running    workers, the heartbeat of a run, signals
asking     one request after the other until there is an answer
questions  what is asked, and asked again
judging    whether a reply will do
filling    one LLM's cells
plan       what there is to do and what it will take
run        all of it
batch      the same through a provider's batches
"""
